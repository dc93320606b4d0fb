"""Which images of a data set are there: folders are listed, no image is opened."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable


def missing_files(paths: Iterable[str]) -> list[str]:
    """Tell which files do not exist, by listing each of their folders once.

    Args:
        paths: of files on this machine; addresses with ``://`` are passed over.

    Returns:
        Those that are missing, in the given order.
    """
    paths = [path for path in paths if "://" not in path]
    by_folder: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, name = os.path.split(path)
        by_folder[folder].add(name)
    missing = {
        os.path.join(folder, name)
        for folder, names in by_folder.items()
        for name in names - _files_in(folder)
    }
    return [path for path in paths if path in missing] if missing else []


def _files_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or ".") as entries:
            # A link may lead nowhere; only of links is that asked, which takes a while.
            return {x.name for x in entries if not x.is_symlink() or os.path.exists(x.path)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
