"""All files below a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


def files_below(folder: Path) -> Iterator[str]:
    """Files at any depth, relative to a folder, in no order.

    Hidden ones and what is in hidden folders are passed over. Links to folders are followed, but
    not round and round. A folder that cannot be read is told by a warning.

    Args:
        folder: that exists.
    """

    def warn(error: OSError) -> None:
        logger.warning("What is in %s is left out: %s", error.filename, error.strerror)

    # The folders that each one lies in: a link to one of these would lead round and round.
    above = {str(folder): (os.path.realpath(folder),)}
    for parent, folders, files in os.walk(folder, onerror=warn, followlinks=True):
        around = above.pop(parent)
        inside = {name: os.path.realpath(os.path.join(parent, name)) for name in folders}
        folders[:] = [x for x in folders if not x.startswith(".") and inside[x] not in around]
        above.update({os.path.join(parent, x): (*around, inside[x]) for x in folders})
        for name in files:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(parent, name), folder)
