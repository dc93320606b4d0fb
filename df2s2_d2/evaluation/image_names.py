"""Whether detections are about the images they are scored on, or only spelled as if they were not.

An evaluation counts an image that no detections name as one without detections. If all of them are
spelled otherwise, as with ``e/i.jpg`` for ``e/i``, the average precision is 0.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator

logger = logging.getLogger(__name__)

_EXTENSION = re.compile(r"(\.(jpe?g|png|bmp|webp|txt))+$")
_SEPARATORS = re.compile(r"[^0-9a-z]+")


def check_image_names(
    path: str | os.PathLike, names: Collection[str], images: Collection[str], place: str
) -> None:
    """Refuse detections none of which is about an image that is scored; warn of odd spellings.

    Args:
        path: of the detections, for messages.
        names: of the images that they are about.
        images: names of those that are scored.
        place: where these stand.

    Raises:
        ValueError: if there are names, and none is known; tells one of either kind.
    """
    known = set(images)
    unknown = sorted(set(names) - known)
    if not unknown or not known:
        return
    alike = likely_spelling(unknown, known - set(names))
    if len(unknown) < len(set(names)):
        if alike:
            logger.warning(
                "%s: the detections of %d images are left out, as %s does not name them; %s",
                path,
                len(unknown),
                place,
                _for_instance(*alike),
            )
        return
    remedy = _for_instance(*alike) if alike else _for_instance(unknown[0], min(known))
    raise ValueError(
        f"{path}: none of its {len(unknown):,} images is among the {len(known):,} of {place}; "
        f"{remedy}: rename them, or give the detections of these images"
    )


def likely_spelling(unknown: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """An unknown name and the known one that it was likely meant to be, if there are such.

    They are alike but for letters' case, extensions, separators, and folders around them.
    """
    by_words = {words: name for name in sorted(known) for words in _spellings(name)}
    for name in unknown:
        for words in _spellings(name):
            if words in by_words:
                return name, by_words[words]
    return None


def _spellings(name: str) -> Iterator[str]:
    """The words in a name, then without folders around: always at least its last part."""
    parts = _EXTENSION.sub("", name.lower().replace("\\", "/")).split("/")
    for first in range(len(parts)):
        yield _SEPARATORS.sub(" ", " ".join(parts[first:])).strip()


def _for_instance(name: str, known: str) -> str:
    return f"for instance it has {name[:80]!r}, where {known[:80]!r} is expected"
