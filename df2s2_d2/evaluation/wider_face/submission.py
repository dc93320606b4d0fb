"""Archives for the test server of WIDER FACE, whose annotations are not public."""

from __future__ import annotations

import os
import posixpath
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from df2s2_d2.formats import wider_face_text
from df2s2_d2.formats.detection_files import read_detections
from df2s2_d2.formats.whole_outputs import replacing
from df2s2_d2.formats.wider_face_detections import format_detections, is_submission_name

# The earliest that a zip archive can state: equal detections make equal archives.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def read_image_names(image_list: str | os.PathLike) -> list[str]:
    """Read which images a data set has, from its file list or its annotations.

    Args:
        image_list: ``wider_face_test_filelist.txt``, a text with one ``<event>/<image>.jpg`` a
            line, or an annotation text.

    Returns:
        Names ``"<event>/<image>"`` in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such text, an image is named otherwise or comes twice, or there is
            none; the message names file and line, or the image.
    """
    path = Path(image_list)
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: give a text of <event>/<image>.jpg a line")
    names = []
    for image in wider_face_text.read_images(str(path)):
        name, extension = posixpath.splitext(image.path)
        if not (extension and is_submission_name(name)):
            raise ValueError(
                f"{path}: expected images <event>/<image>.jpg, found {image.path[:80]!r}"
            )
        names.append(name)
    return names


def write_submission(
    path: str | os.PathLike, detections: Mapping[str, np.ndarray], images: Sequence[str]
) -> None:
    """Pack detections as the test server wants them: a file for every image, best boxes first.

    Args:
        path: of the zip archive; an existing one is replaced once the new one is complete.
        detections: ``"<event>/<image>"`` -> (n, 5) ``x, y, width, height, score`` in pixels of the
            original image. An image left out gets a file with a count of 0.
        images: names of all images of the data set.

    Raises:
        ValueError: if detections are about an image that is not in the list, or not finite numbers
            of that shape; the message names the image. Nothing is written then.
    """
    path = Path(path)
    unknown = sorted(detections.keys() - set(images))
    if unknown:
        raise ValueError(
            f"{len(unknown)} images with detections are not in the list of {len(images)} images, "
            f"such as {unknown[0]}; check that both are of the same split"
        )
    with replacing(path) as place, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for image in sorted(images):
            entry = zipfile.ZipInfo(f"{image}.txt", _TIMESTAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, format_detections(image, detections.get(image, ())))


def check_submission(path: str | os.PathLike, images: Sequence[str]) -> dict[str, np.ndarray]:
    """Check an archive, one's own or of others, as strictly as a test server may.

    Args:
        path: of the archive.
        images: names of all images of the data set.

    Returns:
        The detections in it.

    Raises:
        ValueError: if an image is missing or unknown, a count is wrong, a number is not finite, or
            scores are not in descending order; the message names the image.
    """
    detections = read_detections(path)
    for problem, names in (
        ("lacks a file for", set(images) - detections.keys()),
        ("has a file for the unknown image", detections.keys() - set(images)),
        ("has ascending scores for", {i for i, r in detections.items() if _ascends(r)}),
    ):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"{path} {problem} {min(names)}{others}; write it again")
    return detections


def _ascends(rows: np.ndarray) -> bool:
    return bool((np.diff(rows[:, 4]) > 0).any())
