"""Proposing labels for a user's own recordings, to be corrected in a labelling tool."""
