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
    results = list(results)
    failed = np.array([isinstance(result, Failed) for result in results], bool)
    found = [result for result in results if isinstance(result, FoundFaces)]
    rows = np.concatenate([np.zeros((0, 5)), *(result.rows for result in found)])
    counts = np.zeros(len(results), np.int32)
    counts[~failed] = [len(result.rows) for result in found]
    offsets = pa.array(np.concatenate([[0], counts.cumsum()]), pa.int32())
    sizes = np.zeros((len(results), 2), np.int32)
    sizes[~failed] = np.reshape([result.size for result in found], (-1, 2))
    boxes = pa.FixedSizeListArray.from_arrays(pa.array(rows[:, :4].ravel()), type=_BOX)
    lists = [
        pa.ListArray.from_arrays(offsets, values, mask=pa.array(failed))
        for values in (boxes, pa.array(rows[:, 4]))
    ]
    columns = [
        pa.array([result.file for result in results], pa.string()),
        pa.array(sizes[:, 1], mask=failed),
        pa.array(sizes[:, 0], mask=failed),
        *lists,
        pa.array([getattr(result, "error", None) for result in results], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _results(table: pa.Table) -> Iterable[FoundFaces | Failed]:
    boxes, scores = (table[name].combine_chunks() for name in ("boxes", "scores"))
    corners = boxes.flatten().flatten().to_numpy().reshape(-1, 4)
    rows = np.column_stack([corners, scores.flatten().to_numpy()])
    counts = scores.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    ends = counts.cumsum()
    sizes = zip(table["height"].to_pylist(), table["width"].to_pylist(), strict=True)
    for file, size, error, faces in zip(
        table["file"].to_pylist(),
        sizes,
        table["error"].to_pylist(),
        [rows[end - count : end] for count, end in zip(counts, ends, strict=True)],
        strict=True,
    ):
        yield FoundFaces(file, size, faces) if error is None else Failed(file, error)


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
