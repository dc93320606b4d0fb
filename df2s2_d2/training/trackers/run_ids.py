"""Which run of a tracker a folder's training is: kept in the folder, for whoever resumes it."""

from __future__ import annotations

from pathlib import Path

from df2s2_d2.formats.whole_outputs import write_whole


def read_run_id(folder: Path, tracker: str) -> str | None:
    """The id of the latest run, or None if none was begun.

    Args:
        folder: OUTPUT_DIR of the run.
        tracker: its name.

    Raises:
        OSError, ValueError: the file that holds it cannot be read.
    """
    path = _path(folder, tracker)
    return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None


def write_run_id(folder: Path, tracker: str, run_id: str) -> None:
    """Keep the id of a run, in place of that of the run before.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(_path(folder, tracker), f"{run_id}\n".encode())


def _path(folder: Path, tracker: str) -> Path:
    # One file for each, as trackers begin at the same time.
    return folder / f"{tracker}_run_id.txt"
