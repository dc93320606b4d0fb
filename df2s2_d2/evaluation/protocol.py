"""How detections came about: what has to stand beside a figure so that it can be compared."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df2s2_d2.formats.file_hash import file_sha256
from df2s2_d2.formats.json_file import read_json, shorten
from df2s2_d2.formats.whole_outputs import write_whole

# Hexadecimal digits of a hash that are printed and recorded.
_HASH_DIGITS = 12

# Speaks for the detections beside it.
PROTOCOL_FILE = "protocol.json"

_OPTIONAL_NUMBER = (int, float, type(None))
# What each field of a protocol may be in JSON.
_JSON_TYPES = {
    "resize": str,
    "name": str,
    "scales": list,
    "flip": bool,
    "merge": str,
    "tile_above": _OPTIONAL_NUMBER,
    "score_threshold": _OPTIONAL_NUMBER,
    "nms_threshold": _OPTIONAL_NUMBER,
    "max_detections": _OPTIONAL_NUMBER,
    "weights": str,
    "weights_sha256": str,
}


@dataclass(frozen=True)
class Protocol:
    """How images were scaled, by which weights faces were sought in them, and which were kept.

    Attributes:
        resize: rule for the size of a test image, such as "original size" or "short side 800".
        scales: sizes of the copies of a multi-scale test, as they are to be printed, such as
            "800" or "x0.5"; empty if each image is seen once, by `resize`.
        flip: whether all copies were mirrored as well.
        merge: how the detections of the copies were merged, such as "box voting"; "" if there are
            none.
        tile_above: images with a longer side, in pixels, were also looked at in their original
            size, in tiles; None if none was.
        score_threshold: only higher scores were kept; None if unknown.
        nms_threshold: IoU above which a lower-scoring box was suppressed; None if unknown.
        max_detections: most boxes kept of an image; None if unknown.
        weights: name of the checkpoint, or the iteration of a training run; "" if unknown.
        weights_sha256: first digits of the hash of the checkpoint file; "" if there is no file.
        name: of the published test that all of this is, such as "dsfd-multi-scale"; "" if none.
    """

    resize: str
    scales: tuple[str, ...] = ()
    flip: bool = False
    merge: str = ""
    tile_above: int | None = None
    score_threshold: float | None = None
    nms_threshold: float | None = None
    max_detections: int | None = None
    weights: str = ""
    weights_sha256: str = ""
    name: str = ""

    def above(self, score: float) -> Protocol:
        """That of the detections with a score above one, of all that came about in this way."""
        if self.score_threshold is not None and score <= self.score_threshold:
            return self
        return dataclasses.replace(self, score_threshold=score, name="")

    def describe(self) -> str:
        """All of it in one line; what is unknown is left out."""
        size = f"multi-scale {{{', '.join(self.scales)}}}" if self.scales else self.resize
        parts = [f"{size} + flip" if self.flip else size]
        if self.name:
            parts[0] = f"{self.name}: {parts[0]}"
        if self.merge:
            parts.append(self.merge)
        if self.tile_above is not None:
            parts.append(f"longer than {self.tile_above} pixels also in tiles")
        if self.score_threshold is not None:
            parts.append(f"score > {self.score_threshold}")
        if self.nms_threshold is not None:
            parts.append(f"NMS {self.nms_threshold}")
        if self.max_detections is not None:
            parts.append(f"{self.max_detections} boxes")
        if self.weights:
            hashed = f" (sha256 {self.weights_sha256})" if self.weights_sha256 else ""
            parts.append(f"weights {self.weights}{hashed}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return dataclasses.asdict(self) | {"scales": list(self.scales)}


def short_sha256(path: str | os.PathLike) -> str:
    """The first digits of a file's SHA-256."""
    return file_sha256(path)[:_HASH_DIGITS]


def describe_protocol(protocol: Protocol | None) -> str:
    """The line to print beside a figure, also where nothing is known."""
    return "protocol unknown" if protocol is None else protocol.describe()


def write_protocol(protocol: Protocol, folder: str | os.PathLike) -> None:
    """Write protocol.json, which speaks for all detections in a folder.

    It is written whole, as all shards of a run write it and others may read it meanwhile.

    Args:
        folder: exists.
    """
    write_whole(Path(folder, PROTOCOL_FILE), protocol_content(protocol))


def protocol_content(protocol: Protocol) -> bytes:
    """What :func:`write_protocol` writes."""
    text = json.dumps(protocol.to_dict(), indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


def read_protocol(detections: str | os.PathLike) -> Protocol | None:
    """Look for the protocol of a set of detections in the files that lie beside it.

    ``protocol.json`` holds the fields of :class:`Protocol` and speaks for all detections in its
    folder. ``results.json``, which the evaluators write, speaks for those that it names.

    Args:
        detections: folder or archive of detections.

    Returns:
        The protocol, or None if none is recorded.

    Raises:
        ValueError: if a file that should hold it is malformed; the message names the file.
    """
    detections = Path(os.path.abspath(detections))
    path = detections.parent / PROTOCOL_FILE
    if path.is_file():
        return _parse_protocol(path, _read_object(path))
    path = detections.parent / "results.json"
    if path.is_file():
        results = _read_object(path)
        if results.get("detections") == detections.name and results.get("protocol") is not None:
            return _parse_protocol(path, results["protocol"])
    return None


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {shorten(content)}")
    return content


def _parse_protocol(path: Path, fields: Any) -> Protocol:
    if (
        not isinstance(fields, dict)
        or "resize" not in fields
        or not fields.keys() <= _JSON_TYPES.keys()
    ):
        raise ValueError(
            f"{path}: a protocol is a JSON object with the key 'resize' and any other of "
            f"{', '.join(_JSON_TYPES)}; found {shorten(fields)}"
        )
    for name, value in fields.items():
        if not isinstance(value, _JSON_TYPES[name]):
            raise ValueError(f"{path}: the protocol's '{name}' cannot be {shorten(value)}")
    return Protocol(**{**fields, "scales": tuple(map(str, fields.get("scales", ())))})
