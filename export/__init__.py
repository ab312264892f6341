"""From PyTorch modules to model files, and the proof that they compute the same."""
