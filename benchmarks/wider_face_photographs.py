"""Photographs of WIDER FACE's validation split with their ground truth, all or some of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from df2s2_d2.data.datasets.image_files import missing_files
from df2s2_d2.evaluation import GroundTruth, load_ground_truth


@dataclass(frozen=True)
class Photographs:
    """Photographs and what is to be found in them.

    Attributes:
        files: ``"<event>/<image stem>"`` -> file.
        ground_truth: of exactly these.
    """

    files: dict[str, Path]
    ground_truth: GroundTruth

    @classmethod
    def load(cls, root: Path, count: int | None = None) -> Photographs:
        """Read the ground truth, and make sure that the photographs are there.

        Args:
            root: folder that holds ``wider_face/``, as ``$DETECTRON2_DATASETS`` does.
            count: of photographs, evenly spread over all; None for all.

        Raises:
            OSError, ValueError: naming the file and what is wrong with it.
        """
        base = root / "wider_face"
        truth = load_ground_truth(base / "eval_tools/ground_truth")
        images = truth.images if count is None else spread(truth.images, count)
        files = {image: base / "WIDER_val/images" / f"{image}.jpg" for image in images}
        missing = missing_files(map(str, files.values()))
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(files)} photographs are missing, the first {missing[0]}"
            )
        return cls(files, truth if count is None else restrict(truth, images))


def spread(items: tuple, count: int) -> tuple:
    """Up to ``count`` items, evenly spread over all."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return tuple(items[place] for place in places)


def restrict(truth: GroundTruth, images: tuple[str, ...]) -> GroundTruth:
    """The ground truth of some of its images."""
    faces = {image: truth.image_index == truth.images.index(image) for image in images}
    return GroundTruth.from_annotations(
        {image: truth.boxes[mask] for image, mask in faces.items()},
        {
            setting: {image: kept[mask] for image, mask in faces.items()}
            for setting, kept in truth.kept.items()
        },
    )
