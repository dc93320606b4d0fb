#!/usr/bin/env python3
"""``df2s2 install-detectron2``, in a checkout that need not be installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from df2s2_d2.cli import install_detectron2
from df2s2_d2.cli.program import run_script

if __name__ == "__main__":
    run_script(install_detectron2, "install_detectron2")
