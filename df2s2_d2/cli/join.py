"""Put the results of all shards of `df2s2 detect --shard I/N` together.

  df2s2 join found/

Of detections.1-of-8.json to detections.8-of-8.json it makes detections.json, and so on for all
formats of one file; these stay. Files of single images need no joining. Shards that did not come
to their end are told; the exit code is 1 if some inputs could not be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="--output of all the shards")


def run(args: argparse.Namespace) -> int:
    from df2s2_d2.inference.media.shard_joining import join_shards

    joined = join_shards(args.folder)
    written = ", ".join(map(str, joined.files)) or "nothing to write: every image has its files"
    print(f"{joined.num_shards} shards of {joined.num_inputs:,} inputs -> {written}")
    for failure in joined.failures:
        print(failure, file=sys.stderr)
    return int(bool(joined.failures))
