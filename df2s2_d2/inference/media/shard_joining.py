"""The results of all shards of a run -> the files that one run would have written."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df2s2_d2.formats.growing_files import JsonArrayFile, array_lines
from df2s2_d2.formats.whole_outputs import replacing
from df2s2_d2.inference.media.run_record import read_record, settings_changes
from df2s2_d2.inference.media.shards import Shard


@dataclass(frozen=True)
class JoinedShards:
    """What was joined.

    Attributes:
        num_shards, num_inputs: of how many shards, and of how many images and videos.
        files: that were written; files of single images need no joining.
        failures: what went wrong with inputs, a sentence each.
    """

    num_shards: int
    num_inputs: int
    files: list[Path]
    failures: list[str]


def join_shards(folder: Path) -> JoinedShards:
    """Join the result files of all shards in a folder, one shard after the other.

    Raises:
        OSError: if a file cannot be read or written.
        ValueError: if there are no shards, or they do not belong together, or one did not come to
            its end; says which, and what to do.
    """
    records = _read_records(folder)
    shards = sorted(records, key=lambda shard: shard.number)
    files = []
    saved = records[shards[0]]["settings"].get("--save")
    if not isinstance(saved, list):
        raise ValueError(
            f"The shards in {folder} do not say which files they wrote, by --save: run them again "
            "without --resume"
        )
    for name in (name for name in _FILES if name in saved):
        for file, join in _FILES[name].items():
            path = folder / file
            parts = [path.with_name(f"{path.stem}{s.suffix}{path.suffix}") for s in shards]
            with replacing(path) as place:
                join(parts, place)
            files.append(path)
    failures = [
        text for shard in shards for texts in records[shard]["failures"].values() for text in texts
    ]
    return JoinedShards(
        len(shards), sum(records[shard]["inputs"] for shard in shards), files, failures
    )


def _read_records(folder: Path) -> dict[Shard, dict[str, Any]]:
    records = {}
    for path in folder.glob("run.*-of-*.json"):
        match = re.fullmatch(r"run\.(\d{1,6})-of-(\d{1,6})\.json", path.name)
        if match is None:
            continue
        number, count = map(int, match.groups())
        if 1 <= number <= count and (record := read_record(path)) is not None:
            records[Shard(number, count)] = record
    if not records:
        raise ValueError(f"{folder} holds no runs of shards, run.<I>-of-<N>.json: nothing to join")
    counts = {shard.count for shard in records}
    if len(counts) > 1:
        raise ValueError(
            f"{folder} holds shards of {' and of '.join(map(str, sorted(counts)))} parts: remove "
            "the run.<I>-of-<N>.json of those that are not to be joined"
        )
    (count,) = counts
    shards = [Shard(number, count) for number in range(1, count + 1)]
    absent = [shard for shard in shards if shard not in records]
    unfinished = [shard for shard in shards if shard in records and not records[shard]["complete"]]
    for wrong, what in ((absent, "have not begun"), (unfinished, "did not come to their end")):
        if wrong:
            raise ValueError(
                f"Of the {count} shards in {folder} {len(wrong)} {what}: run --shard "
                f"{', '.join(map(str, wrong[:5]))}{', ...' if wrong[5:] else ''} with --resume"
            )
    for shard in shards[1:]:
        changes = settings_changes(records[shards[0]]["settings"], records[shard]["settings"])
        if changes:
            raise ValueError(
                f"The shards {shards[0]} and {shard} in {folder} are not of one run "
                f"({'; '.join(changes)}): run one of them again without --resume"
            )
    return records


def _join_arrays(parts: Sequence[Path], path: Path) -> None:
    ends = [_ends_of_array(part) for part in parts]
    joined = JsonArrayFile(path, *ends[0])
    joined.start()
    for part in parts:
        for line in array_lines(part):
            joined.add_lines([line])
    joined.close()


def _ends_of_array(part: Path) -> tuple[str, str]:
    """What stands before and behind the array in a shard's file."""
    with part.open(encoding="utf-8", errors="surrogateescape") as file:
        before = next(file, "").rstrip("\n")
        after = "".join(deque(file, maxlen=1)).rstrip("\n")
    if not (before.endswith("[") and after.startswith("]")):
        raise _not_whole(part)
    return before.removesuffix("["), after.removeprefix("]")


def _not_whole(part: Path) -> ValueError:
    return ValueError(f"{part} is not what a shard wrote to its end: run that shard again")


def _join_lines(parts: Sequence[Path], path: Path, num_header_lines: int = 0) -> None:
    with path.open("wb") as joined:
        for number, part in enumerate(parts):
            with part.open("rb") as file:
                header = [next(file, b"") for _ in range(num_header_lines)]
                if not all(header):
                    raise _not_whole(part)
                if number == 0:
                    joined.writelines(header)
                joined.writelines(file)


def _join_tables(parts: Sequence[Path], path: Path) -> None:
    _join_lines(parts, path, num_header_lines=1)


# Format of results -> its files that every shard has of its own, and what joins them.
_FILES: dict[str, dict[str, Callable[[Sequence[Path], Path], None]]] = {
    "json": {"detections.json": _join_arrays},
    "jsonl": {"detections.jsonl": _join_lines},
    "csv": {"detections.csv": _join_tables},
    "coco": {"coco.json": _join_arrays, "coco_images.json": _join_arrays},
}
