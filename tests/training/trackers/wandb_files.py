"""Files of Weights & Biases: records of protobuf in the log format of LevelDB."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32768, 7  # bytes; each file begins with a header of its own, as long
_FULL, _LAST = 1, 4  # kinds of the parts of a record that end it


def history(path: Path) -> list[dict[str, Any]]:
    """What a run has logged, a dict for each call."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for content in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
    return rows


def config(path: Path) -> dict[str, Any]:
    """The config that a run has begun with."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for content in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        if record.WhichOneof("record_type") == "run":
            found |= {i.key: json.loads(i.value_json) for i in record.run.config.update}
    return found


def _records(data: bytes) -> Iterator[bytes]:
    at, parts = _HEADER, []
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:  # what is left of a block is filled with zeros
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts.append(data[at + _HEADER : at + _HEADER + length])
        at += _HEADER + length
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
            parts = []
