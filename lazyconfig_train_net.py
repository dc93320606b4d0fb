#!/usr/bin/env python3
"""``df2s2 train-lazy``: train and evaluate face detectors by a LazyConfig.

python lazyconfig_train_net.py --config-file configs/lazy/DF2S2_R50.py --num-gpus 4
torchrun --standalone --nproc-per-node 4 lazyconfig_train_net.py --config-file CONFIG
"""

from __future__ import annotations

from df2s2_d2.cli import train_lazy
from df2s2_d2.cli.program import run_script

if __name__ == "__main__":
    run_script(train_lazy, "lazyconfig_train_net.py")
