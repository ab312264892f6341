"""The verbs ``train``, ``evaluate``, ``data``, ``label`` and ``import-weights``."""
