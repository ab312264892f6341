"""What turns a batch of model inputs into score maps."""
