#!/usr/bin/env python3
"""``df2s2 train``: train and evaluate face detectors.

python train_net.py --config-file configs/DF2S2/DF2S2_R50.yaml --num-gpus 4
torchrun --standalone --nproc-per-node 4 train_net.py --config-file CONFIG
srun --ntasks-per-node 4 python train_net.py --config-file CONFIG
"""

from __future__ import annotations

from df2s2_d2.cli import train
from df2s2_d2.cli.program import run_script

if __name__ == "__main__":
    run_script(train, "train_net.py")
