"""The verbs ``train``, ``evaluate``, ``data`` and ``import-weights``."""
