"""Crops of samples, with augmentation: what a network sees in training."""
