"""Sinks: outputs of reports."""
