"""Measures of detections against truth, and their tables and plots."""
