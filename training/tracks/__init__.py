"""Tracks on video with boxes: caching what a detector finds, replaying it through a tracker, judging, fitting."""
