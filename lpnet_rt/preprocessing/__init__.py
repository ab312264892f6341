"""From a frame to the model's input, and from its scores to a score map: one module per input rule."""
