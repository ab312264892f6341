"""Data sets on disk: their layouts, images with their masks, checks, conversion, samples in memory."""
