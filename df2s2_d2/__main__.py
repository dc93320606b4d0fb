"""``python -m df2s2_d2`` is ``df2s2``."""

import sys

from df2s2_d2.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
