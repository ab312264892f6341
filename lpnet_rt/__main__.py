"""``python -m lpnet_rt`` is ``lpnet-rt``."""

import sys

from lpnet_rt.cli import main

if __name__ == "__main__":
    sys.exit(main())
