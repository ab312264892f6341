"""From a frame to what a model is given, and from its scores to a score map: one module for each input rule."""
