"""Write docs/messages.schema.json from lpnet_rt/messages.py; run it after a change of the messages."""

from __future__ import annotations

import json
from pathlib import Path

from lpnet_rt.messages import json_schema

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "docs" / "messages.schema.json"


def main() -> None:
    """Write the file."""
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
