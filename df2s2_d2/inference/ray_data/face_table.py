"""What is found in images as Arrow tables, and these as Parquet and as JSON Lines.

A row is an image: its ``file``, ``width`` and ``height`` in pixels, ``boxes`` (x1, y1, x2, y2) with
their ``scores``, by descending score. An image that could not be looked at has none of these but
an ``error``, which says why in a sentence.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from df2s2_d2.formats.detections_jsonl import format_failure, format_line

_BOX = pa.list_(pa.float64(), 4)
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("boxes", pa.list_(_BOX)),
        ("scores", pa.list_(pa.float64())),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class FoundFaces:
    """What was found in an image.

    Attributes:
        file: path or address.
        size: height and width in pixels.
        rows: (n, 5) ``x1, y1, x2, y2, score``.
    """

    file: str
    size: tuple[int, int]
    rows: np.ndarray


@dataclass(frozen=True)
class Failed:
    """Why an image could not be looked at.

    Attributes:
        file: path or address.
        error: a sentence that names it.
    """

    file: str
    error: str


def face_table(results: Iterable[FoundFaces | Failed]) -> pa.Table:
    """The table of some images, of :data:`SCHEMA`."""
    rows = [_failed_row(x) if isinstance(x, Failed) else _found_row(x) for x in results]
    return pa.Table.from_pylist(rows, SCHEMA)


def _found_row(found: FoundFaces) -> dict:
    height, width = found.size
    return {
        "file": found.file,
        "width": width,
        "height": height,
        "boxes": found.rows[:, :4].tolist(),
        "scores": found.rows[:, 4].tolist(),
    }


def _failed_row(failed: Failed) -> dict:
    return {"file": failed.file, "error": failed.error}


def _results(table: pa.Table) -> Iterable[FoundFaces | Failed]:
    for row in table.to_pylist():
        if row["error"] is not None:
            yield Failed(row["file"], row["error"])
        else:
            faces = [[*box, score] for box, score in zip(row["boxes"], row["scores"], strict=True)]
            rows = np.array(faces, np.float64).reshape(-1, 5)
            yield FoundFaces(row["file"], (row["height"], row["width"]), rows)


@dataclass(frozen=True)
class TableFormat:
    """A format that a table is written in.

    Attributes:
        encode: gives the content of a file.
        decode: gives the table of a file, or raises ValueError if it is damaged.
    """

    encode: Callable[[pa.Table], bytes]
    decode: Callable[[bytes], pa.Table]


def _to_parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def _from_parquet(content: bytes) -> pa.Table:
    table = pq.read_table(
        io.BytesIO(content)
    )  # pyarrow's errors of what is damaged are ValueErrors
    if table.schema != SCHEMA:
        raise ValueError(f"expected the columns {', '.join(SCHEMA.names)}")
    return table


def _to_jsonl(table: pa.Table) -> bytes:
    lines = [
        format_failure(result.file, result.error)
        if isinstance(result, Failed)
        else format_line(result.file, result.size, result.rows)
        for result in _results(table)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _from_jsonl(content: bytes) -> pa.Table:
    try:
        return face_table(map(_of_line, content.splitlines()))
    except (KeyError, TypeError) as error:
        raise ValueError(f"expected the lines of images ({error!r})") from error


def _of_line(line: bytes) -> FoundFaces | Failed:
    record = json.loads(line)
    if "error" in record:
        return Failed(record["file"], record["error"])
    faces = [[*face["box"], face["score"]] for face in record["faces"]]
    size = record["height"], record["width"]
    return FoundFaces(record["file"], size, np.array(faces, np.float64).reshape(-1, 5))


# Name, as that of ray_options.FORMATS -> how it is written.
TABLE_FORMATS = {
    "parquet": TableFormat(_to_parquet, _from_parquet),
    "jsonl": TableFormat(_to_jsonl, _from_jsonl),
}
