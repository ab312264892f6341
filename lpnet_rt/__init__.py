"""Real-time detection of small targets in infrared video."""

__version__ = "0.1.0"
