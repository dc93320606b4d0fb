"""A learned map from boxes to ellipses, fitted on nine folds of FDDB and applied to the tenth.

Detectors give boxes, FDDB's faces are ellipses: even the box that just holds an ellipse overlaps it
by only π / 4. DSFD reports its FDDB results on ellipses from a regressor learned afterwards, of
which it tells no more; this one is linear least squares.

With a = log(w / h) and s = log √(wh) of a box, the features are 1, a, s, a², as, s². The targets
are the offset of the centre (in widths and heights of the box), the logarithms of the radii (the
major in heights, the minor in widths) and the sine and cosine of twice the angle that the major
axis makes with the vertical. Turning an ellipse by half a turn changes none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .one_to_one_matching import FOUND_OVERLAP, match_regions
from .scoring import as_rows, overlaps_in_image

_NUM_FEATURES = 6

# Pixels. Boxes of no extent have no logarithm.
_SHORTEST_SIDE = 1e-3


@dataclass(frozen=True)
class EllipseRegressor:
    """A linear map from features of a box to an ellipse.

    Attributes:
        coefficients: (6, 6) float64, features by targets.
    """

    coefficients: np.ndarray

    @classmethod
    def fit(cls, boxes: np.ndarray, ellipses: np.ndarray) -> EllipseRegressor:
        """Fit to pairs of a box and the ellipse of the same face, by least squares.

        Args:
            boxes: (N, 4) ``x, y, width, height`` in pixels.
            ellipses: (N, 5) ``major radius, minor radius, angle, centre x, centre y`` in pixels and
                radians.

        Raises:
            ValueError: if there are fewer pairs than features.
        """
        if len(boxes) < _NUM_FEATURES:
            raise ValueError(
                f"an ellipse regressor needs at least {_NUM_FEATURES} detections that overlap a "
                f"face by more than {FOUND_OVERLAP:g} to be fitted to, found {len(boxes)}"
            )
        centres, sides = _centres_and_sides(boxes)
        offsets = (ellipses[:, 3:] - centres) / sides
        log_radii = np.log(ellipses[:, :2] / sides[:, ::-1])
        twice = 2 * (ellipses[:, 2:3] - np.pi / 2)
        targets = np.hstack((offsets, log_radii, np.sin(twice), np.cos(twice)))
        coefficients, *_ = np.linalg.lstsq(_features(sides), targets, rcond=None)
        return cls(coefficients)

    def predict(self, boxes: np.ndarray) -> np.ndarray:
        """Ellipses of the faces in the boxes, shaped as in :meth:`fit`."""
        centres, sides = _centres_and_sides(boxes)
        targets = _features(sides) @ self.coefficients
        radii = sides[:, ::-1] * np.exp(targets[:, 2:4])
        angles = np.pi / 2 + np.arctan2(targets[:, 4], targets[:, 5]) / 2
        return np.hstack((radii, angles[:, None], centres + sides * targets[:, :2]))


def cross_validated_ellipses(
    detections: Mapping[str, np.ndarray],
    folds: Mapping[str, Mapping[str, np.ndarray]],
    image_sizes: Mapping[str, tuple[int, int]],
) -> dict[str, np.ndarray]:
    """Turn boxes into ellipses, in each fold by a regressor fitted on all the others.

    It is fitted to the pairs of the benchmark's one-to-one matching that overlap by more than one
    half.

    Args:
        detections: image -> (n, 5) ``x, y, width, height, score`` in pixels.
        folds: ``"XX"`` -> image -> (n, 5) ellipses, from :func:`~.folds.load_folds`.
        image_sizes: image -> width and height in pixels, of all images with detections.

    Returns:
        Image -> (n, 6) ``major radius, minor radius, angle, centre x, centre y, score``. Images of
        no fold are left as they are.

    Raises:
        ValueError: if detections are ellipses already, there are too few folds or too few
            detections on faces, or the size of an image is missing.
    """
    if len(folds) < 2:
        raise ValueError(
            f"cross-validation takes at least two folds, found {len(folds)}: give the folder with "
            "all FDDB-fold-XX-ellipseList.txt"
        )
    boxes = {
        name: {image: _as_boxes(image, detections[image]) for image in fold if image in detections}
        for name, fold in folds.items()
    }
    pairs = {
        name: [
            _pairs_in_image(image, rows, folds[name][image], image_sizes)
            for image, rows in fold.items()
            if len(rows)
        ]
        for name, fold in boxes.items()
    }
    converted = dict(detections)
    for name, fold in boxes.items():
        others = [pair for other in folds if other != name for pair in pairs[other]]
        faces = np.concatenate([np.zeros((0, 9)), *others])
        regressor = EllipseRegressor.fit(faces[:, :4], faces[:, 4:])
        for image, rows in fold.items():
            converted[image] = np.column_stack((regressor.predict(rows[:, :4]), rows[:, 4]))
    return converted


def _as_boxes(image: str, rows: np.ndarray) -> np.ndarray:
    rows = as_rows(image, rows)
    if rows.shape[1] != 5:
        raise ValueError(f"{image}: expected boxes to turn into ellipses, found ellipses")
    return rows


def _pairs_in_image(
    image: str,
    rows: np.ndarray,
    ellipses: np.ndarray,
    image_sizes: Mapping[str, tuple[int, int]],
) -> np.ndarray:
    """(k, 9) boxes and ellipses of the faces that are found."""
    overlaps = overlaps_in_image(image, rows, ellipses, image_sizes)
    found, faces = match_regions(overlaps)
    enough = overlaps[found, faces] > FOUND_OVERLAP
    return np.hstack((rows[found[enough], :4], ellipses[faces[enough]]))


def _centres_and_sides(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return boxes[:, :2] + boxes[:, 2:] / 2, np.maximum(boxes[:, 2:], _SHORTEST_SIDE)


def _features(sides: np.ndarray) -> np.ndarray:
    """(N, 2) widths and heights -> (N, 6)."""
    log_width, log_height = np.log(sides).T
    aspect, size = log_width - log_height, (log_width + log_height) / 2
    ones = np.ones(len(sides))
    return np.stack((ones, aspect, size, aspect**2, aspect * size, size**2), axis=1)
