"""Categories of annotated boxes: every box is read as a face, and others are warned of."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping

logger = logging.getLogger(__name__)

# The only category that is written.
FACE = "face"


def warn_of_categories(
    place: str, counts: Mapping[Hashable, int], names: Mapping[Hashable, str]
) -> None:
    """Warn if boxes are of several categories, or of another than the one that is called face.

    Args:
        place: file or folder that they were read from.
        counts: how many boxes are of each category.
        names: of categories, as far as they are told.
    """
    faces = {key for key, name in names.items() if FACE in name.lower()}
    if len(counts) > 1 or (faces and counts.keys() - faces):
        logger.warning(
            "%s: boxes of all categories are taken as faces: %s.",
            place,
            ", ".join(
                f"{count} of category {key}"
                + (f" ({names[key]})" if names.get(key, key) != key else "")
                for key, count in counts.items()
            ),
        )
