"""What a run was asked and how far it came, so that it goes on after whatever ended it.

``run.json`` in the output folder, of a shard ``run.2-of-8.json``, is replaced as a whole every few
seconds, after the result files have reached the disk. It says where each of these ended when the
last of the inputs that it counts as done was done: whatever they hold beyond is removed when the
run goes on, and found again. So no input is in the results twice, and none is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.formats.file_hash import file_sha256
from df2s2_d2.formats.json_file import read_json, shorten
from df2s2_d2.formats.whole_numbers import parse_whole_number
from df2s2_d2.formats.whole_outputs import write_whole
from df2s2_d2.inference.media.sources import Source

_VERSION = 1
_DIGEST = "sha256:"
# Above all counts and sizes of files.
_MOST = 1 << 62
# Of changes that are told, and characters of their names.
_MOST_CHANGES, _LONGEST_NAME = 4, 40
# Seconds of work that a run which is killed does again at most, and an input.
SAVING_INTERVAL = 5.0


class RunRecord:
    """How far a run came, in a file if it has one.

    Attributes:
        sources: all that the run is to look at, in this order.
        is_complete: whether the run came to its end; some inputs may have failed.
        checkpoint: what was given with the last input that was done; None before the first.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        path: Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ):
        """
        Args:
            sources: all that the run is to look at.
            path: of the file; None keeps none.
            settings: by what the user calls them, what the results depend on, as JSON.
        """
        self.sources = sources
        self.is_complete = False
        self.checkpoint: dict[str, Any] | None = None
        self._path = path
        self._settings = dict(settings or {})
        self._index = {source: index for index, source in enumerate(sources)}
        self._done: set[int] = set()
        self._failures: dict[int, list[str]] = defaultdict(list)
        self._saved_at = -np.inf

    @property
    def is_kept(self) -> bool:
        """Whether it has a file, by which the run can go on."""
        return self._path is not None

    @property
    def remaining(self) -> list[Source]:
        """What is yet to be looked at: also what failed without leaving any result."""
        return [source for index, source in enumerate(self.sources) if index not in self._done]

    @property
    def num_done(self) -> int:
        return len(self._done)

    @property
    def failures(self) -> list[str]:
        """What went wrong with the inputs, a sentence each."""
        return [text for index in sorted(self._failures) for text in self._failures[index]]

    def fail(self, source: Source, text: str) -> None:
        """Note what went wrong with an input."""
        self._failures[self._index[source]].append(text)

    def finish(self, source: Source, checkpoint: dict[str, Any]) -> None:
        """Count an input as done.

        Args:
            source: all of whose results, and those of all inputs before it, are written.
            checkpoint: what continues the run after it, as JSON.
        """
        self._done.add(self._index[source])
        self.checkpoint = checkpoint

    def save(self, sync: Callable[[], None], at_once: bool = False) -> None:
        """Write the file, if it is time to.

        Args:
            sync: waits until the results are on the disk.
            at_once: whether it is time whenever the last one was written.

        Raises:
            OSError: if it cannot be written.
        """
        if self._path is None or not (
            at_once or time.monotonic() - self._saved_at >= SAVING_INTERVAL
        ):
            return
        sync()
        content = {
            "version": _VERSION,
            "settings": self._settings,
            "inputs": len(self.sources),
            "complete": self.is_complete,
            "done": _ranges(self._done),
            # A copy, as threads that read images may add to it.
            "failures": {str(index): texts for index, texts in list(self._failures.items())},
            "checkpoint": self.checkpoint,
        }
        write_whole(self._path, json.dumps(content, indent=1).encode())
        self._saved_at = time.monotonic()

    @contextlib.contextmanager
    def saved(self, sync: Callable[[], None]) -> Iterator[None]:
        """Keep the file written while the run goes on, and after whatever ends it.

        Args:
            sync: see :meth:`save`.

        Raises:
            OSError: if it cannot be written.
        """
        self.save(sync, at_once=True)
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):  # What ended the run is to be told.
                self.save(sync, at_once=True)
            raise
        self.save(sync, at_once=True)

    def load(self) -> bool:
        """Take over what an earlier run with the same settings did.

        Returns:
            Whether there was one.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is damaged, or of a run with other settings; names these.
        """
        content = read_record(self._path)
        if content is None:
            return False
        changes = settings_changes(content["settings"], self._settings)
        if changes:
            raise ValueError(
                f"{self._path} is of a run with other settings ({'; '.join(changes)}): use the "
                "same to go on, or leave out --resume to start anew"
            )
        if content["inputs"] != len(self.sources):
            raise ValueError(
                f"{self._path} is of a run of {content['inputs']:,} inputs, these are "
                f"{len(self.sources):,}: give the same to go on, or leave out --resume "
                "to start anew"
            )
        self._done = {index for first, last in content["done"] for index in range(first, last + 1)}
        self.checkpoint = content["checkpoint"]
        self.is_complete = content["complete"]
        # What left no result is tried again, and may go well.
        for index in self._done & set(map(int, content["failures"])):
            self._failures[index] = list(content["failures"][str(index)])
        return True

    def remove(self) -> None:
        """Remove the file, before the results that it is about are overwritten."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any] | None:
    """The content of a record; None if there is none.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged.
    """
    try:
        content = read_json(path)
        wrong = _first_fault(content)
    except FileNotFoundError:
        return None
    except ValueError as error:
        wrong = str(error)
    if wrong is not None:
        raise ValueError(
            f"{path} is no record of a run ({wrong}): remove it and start anew without --resume"
        )
    return content


def is_of_cluster(path: Path) -> bool:
    """Whether a file is the record of a run over a cluster, which shares its results out in parts
    and has the same name."""
    with contextlib.suppress(OSError, ValueError):
        content = read_json(path)
        return isinstance(content, dict) and "part_size" in content
    return False


def _first_fault(content: Any) -> str | None:
    """What is not as :meth:`RunRecord.save` writes it; None if all is."""
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        return f"expected version {_VERSION}, found {shorten(content)}"
    inputs = content.get("inputs")
    is_right = {
        "settings": lambda value: isinstance(value, dict),
        "inputs": _is_count,
        "complete": lambda value: isinstance(value, bool),
        "done": lambda value: _are_ranges(value, inputs),
        "failures": lambda value: isinstance(value, dict) and all(map(_is_failure, value.items())),
        "checkpoint": lambda value: value is None or _is_checkpoint(value),
    }
    for key, check in is_right.items():
        if key not in content:
            return f"it has no {key}"
        if not check(content[key]):
            return f"its {key} cannot be {shorten(content[key])}"
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _are_ranges(value: Any, limit: int) -> bool:
    """Whether it is as of :func:`_ranges`, of numbers below a limit."""
    before = -1
    for pair in value if isinstance(value, list) else [None]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_count, pair))):
            return False
        first, last = pair
        if not before < first <= last < limit:
            return False
        before = last
    return True


def _is_failure(item: tuple[str, Any]) -> bool:
    index, texts = item
    is_index = str(parse_whole_number(index)) == index
    return is_index and isinstance(texts, list) and all(isinstance(text, str) for text in texts)


def _is_checkpoint(value: Any) -> bool:
    fields = value if isinstance(value, dict) else {}
    counts, results = fields.get("counts"), fields.get("results")
    if not (isinstance(counts, list) and len(counts) == 3 and all(map(_is_count, counts))):
        return False
    return (
        isinstance(results, dict)
        and _is_count(results.get("faces"))
        and all(
            isinstance(state, dict) and all(map(_is_count_or_texts, state.values()))
            for name, state in results.items()
            if name != "faces"
        )
    )


def _is_count_or_texts(value: Any) -> bool:
    is_texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return is_texts or _is_count(value)


def _ranges(indices: Iterable[int]) -> list[list[int]]:
    """``[[first, last], ...]`` of runs of numbers."""
    numbers = np.sort(np.fromiter(indices, np.int64))
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []
    return [[int(run[0]), int(run[-1])] for run in runs]


def settings_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two runs, as it is told to the user; digests say nothing to anybody."""
    changes = []
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if old != new:
            name = name[:_LONGEST_NAME]
            is_digest = isinstance(old, str) and old.startswith(_DIGEST)
            was, now_is = map(_as_text, (old, new))
            changes.append(f"{name} changed" if is_digest else f"{name} was {was}, is {now_is}")
    if len(changes) > _MOST_CHANGES:
        changes[_MOST_CHANGES:] = [f"and {len(changes) - _MOST_CHANGES} more"]
    return changes


def _as_text(value: Any) -> str:
    return value[:60] if isinstance(value, str) else shorten(value)


def digest(*parts: str | bytes) -> str:
    """Stands for texts that are too long to be kept."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else os.fsencode(part)
        hashed.update(len(data).to_bytes(8, "big") + data)
    return f"{_DIGEST}{hashed.hexdigest()}"


def file_digest(path: str | os.PathLike) -> str:
    """Stands for the content of a file."""
    return f"{_DIGEST}{file_sha256(path)}"
