"""The discrete and continuous curves of the FDDB benchmark, as its authors' tool computes them.

The protocol is that of Jain and Learned-Miller, "FDDB: A Benchmark for Face Detection in
Unconstrained Settings" (UMass Amherst, 2010). At each threshold, the detections of an image are
matched with its faces one to one, so that the total overlap is the largest possible. The discrete
score counts pairs that overlap by more than one half; the continuous score sums their overlaps.
False positives, on both curves, are the detections that the discrete score does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .one_to_one_matching import ThresholdCounts, match_at_thresholds
from .overlap import region_overlaps

# Where results are reported.
FALSE_POSITIVE_COUNTS = (100, 500, 1000, 2000)


@dataclass(frozen=True)
class FddbResult:
    """Both curves, a point for each distinct score, and counts of one evaluation.

    Attributes:
        thresholds: (T,) scores, descending.
        false_positives: (T,) int64 detections at or above each threshold that find no face.
        discrete: (T,) found faces, as a fraction of all faces.
        continuous: (T,) total overlap of detections with faces, as a fraction of all faces.
        num_images: images in the folds.
        num_faces: faces in the folds.
        num_detections: detections in the images of the folds.
        num_missing_images: images of the folds without an entry among the detections.
        num_unknown_images: entries among the detections that the folds do not know.
        num_unknown_detections: detections in those entries; they are not scored.
    """

    thresholds: np.ndarray
    false_positives: np.ndarray
    discrete: np.ndarray
    continuous: np.ndarray
    num_images: int
    num_faces: int
    num_detections: int
    num_missing_images: int
    num_unknown_images: int
    num_unknown_detections: int

    def rates(self) -> dict[str, dict[int, float]]:
        """Both rates at the usual numbers of false positives, as fractions of 1.

        They are those of the lowest threshold with at most so many false positives: where the
        detections have fewer, those of all detections.

        Returns:
            ``{"disc": {100: float, ...}, "cont": {...}}``.
        """
        return {
            name: {count: self._rate_at(curve, count) for count in FALSE_POSITIVE_COUNTS}
            for name, curve in (("disc", self.discrete), ("cont", self.continuous))
        }

    def counts(self) -> dict[str, int]:
        """What was counted, under the names that files of results use."""
        return {
            "images": self.num_images,
            "faces": self.num_faces,
            "detections": self.num_detections,
            "missing_images": self.num_missing_images,
            "unknown_images": self.num_unknown_images,
            "unknown_detections": self.num_unknown_detections,
        }

    def _rate_at(self, curve: np.ndarray, count: int) -> float:
        within = np.flatnonzero(self.false_positives <= count)
        return float(curve[within[-1]]) if len(within) else 0.0


def evaluate_fddb(
    detections: Mapping[str, np.ndarray],
    folds: Mapping[str, Mapping[str, np.ndarray]],
    image_sizes: Mapping[str, tuple[int, int]],
) -> FddbResult:
    """Score detections by the FDDB protocol, over all folds together.

    Args:
        detections: image -> (n, 5) ``x, y, width, height, score``, or (n, 6) ``major radius, minor
            radius, angle, centre x, centre y, score``, in pixels and radians, in any order. An
            image left out has no detections.
        folds: ``"XX"`` -> image -> (n, 5) ellipses, from :func:`~.folds.load_folds`.
        image_sizes: image -> width and height in pixels, of all images with detections.

    Raises:
        ValueError: if a detection array has another shape or is not finite, the size of an image
            is missing, or the folds have no faces.
    """
    faces = {image: rows for fold in folds.values() for image, rows in fold.items()}
    num_faces = sum(map(len, faces.values()))
    if num_faces == 0:
        raise ValueError("the folds hold no faces, so there is no rate to find")
    counts = [
        match_at_thresholds(overlaps_in_image(image, rows, ellipses, image_sizes), rows[:, -1])
        for image, ellipses in faces.items()
        if len(rows := as_rows(image, detections.get(image, ())))
    ]
    total = _sum_over_images(counts)
    unknown = detections.keys() - faces.keys()
    return FddbResult(
        thresholds=total.thresholds,
        false_positives=total.num_detections - total.num_found,
        discrete=total.num_found / num_faces,
        continuous=total.total_overlap / num_faces,
        num_images=len(faces),
        num_faces=num_faces,
        num_detections=sum(len(detections.get(image, ())) for image in faces),
        num_missing_images=len(faces.keys() - detections.keys()),
        num_unknown_images=len(unknown),
        num_unknown_detections=sum(len(detections[image]) for image in unknown),
    )


def as_rows(image: str, rows: np.ndarray) -> np.ndarray:
    """Check the detections of an image.

    Returns:
        (n, 5) or (n, 6) float64; (0, 5) if there are none, whatever their shape.

    Raises:
        ValueError: if they have another shape or hold nan or inf; the message names the image.
    """
    table = np.asarray(rows, np.float64)
    if table.size == 0:
        return np.zeros((0, 5))
    if table.ndim != 2 or table.shape[1] not in (5, 6):
        raise ValueError(
            f"{image}: expected an array of shape (n, 5) for boxes or (n, 6) for ellipses, "
            f"got {table.shape}"
        )
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise ValueError(f"{image}: row {int(np.argmin(finite))} holds nan or inf")
    return table


def overlaps_in_image(
    image: str,
    rows: np.ndarray,
    ellipses: np.ndarray,
    image_sizes: Mapping[str, tuple[int, int]],
) -> np.ndarray:
    """Overlaps of the detections of an image with its faces, (n, m) fractions of 1.

    Raises:
        ValueError: if the size of the image is missing.
    """
    if image not in image_sizes:
        raise ValueError(
            f"the size of the image {image} is missing: regions are cut off at its border before "
            "they are compared; give the sizes of all images"
        )
    return region_overlaps(rows[:, :-1], ellipses, image_sizes[image])


def _sum_over_images(counts: list[ThresholdCounts]) -> ThresholdCounts:
    """Counts of all images together, at the distinct scores of all of them."""
    if not counts:
        none = np.zeros(0, np.int64)
        return ThresholdCounts(np.zeros(0), none, none, np.zeros(0))
    thresholds = np.concatenate([image.thresholds for image in counts])
    order = np.argsort(-thresholds, kind="stable")
    thresholds = thresholds[order]
    last = np.flatnonzero(np.append(thresholds[1:] != thresholds[:-1], True))

    def sums(name: str) -> np.ndarray:
        changes = [np.diff(getattr(image, name), prepend=0) for image in counts]
        return np.cumsum(np.concatenate(changes)[order])[last]

    return ThresholdCounts(thresholds[last], *map(sums, ThresholdCounts._fields[1:]))
