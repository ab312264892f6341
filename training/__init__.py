"""Data, losses, the training loop and evaluation; needs the ``train`` extra."""
