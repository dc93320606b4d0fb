"""What kinds of errors a result has, and how much average precision each kind costs.

The kinds and their effects are those of Bolya et al., "TIDE: A General Toolbox for Identifying
Object Detection Errors" (ECCV 2020), §2: the effect of a kind (dAP) is how much AP there would be
more if it were mended, and nothing else. With one class there are four kinds:

* *badly placed*: a false positive that overlaps its face by 0.1 <= IoU < 0.5. Mended, its box is
  the face's; of several detections that then find one face the highest-scoring stays.
* *duplicate*: it overlaps a face enough that a higher-scoring detection found. Mended, it is gone.
* *background*: a false positive that overlaps no face by 0.1. Mended, it is gone.
* *missed*: a face without a detection that finds it or is badly placed on it. Mended, it need not
  be found.

All else is the protocol of WIDER FACE: a detection belongs to the annotated face that it overlaps
most, the curve has 1,000 thresholds, and the overlap counts pixels. Faces that a setting ignores
are as there: a detection on one is no error; one that is badly placed on one is, since it counts
as a false positive, and mended it lies on the ignored face and is gone. Scores keep their
thresholds when detections are mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from df2s2_d2.formats.rows_by_image import concatenate_rows

from .ground_truth import GroundTruth
from .scoring import (
    NUM_THRESHOLDS,
    average_precisions,
    count_per_threshold,
    first_finders,
    first_threshold_passed,
    most_overlapped_faces,
    precisions,
)

MISSED, BADLY_PLACED, DUPLICATE, BACKGROUND = KINDS = (
    "missed",
    "badly placed",
    "duplicate",
    "background",
)
_FALSE_POSITIVES = (BADLY_PLACED, DUPLICATE, BACKGROUND)

# IoU from which on a detection finds a face, and below which it has nothing to do with it.
FOUND_IOU, BACKGROUND_IOU = 0.5, 0.1

# Mended curves that are drawn at once: 8 kB an array and curve.
_CURVES_PER_BLOCK = 256
_NEVER = NUM_THRESHOLDS


@dataclass(frozen=True)
class ErrorSplit:
    """The errors in finding some of the faces.

    Attributes:
        num_faces: that are to be found.
        num_not_found: of them, those that no detection finds, missed or not.
        ap: average precision, a fraction of 1; nan without faces.
        is_kind: kind -> bool mask, (M,) faces for "missed", (D,) detections for all others.
        gain: kind -> by how much the AP grows if all of the kind are mended (dAP of the kind); nan
            if no face is left to be found.
        gain_false_positives: the same for all false positives at once, which are then gone.
        gain_false_negatives: the same for all faces that are not found, which then need not be.
        ap_without_errors: AP with every kind mended at once: 1, if anything is found at all.
    """

    num_faces: int
    num_not_found: int
    ap: float
    is_kind: dict[str, np.ndarray]
    gain: dict[str, float]
    gain_false_positives: float
    gain_false_negatives: float
    ap_without_errors: float


@dataclass(frozen=True)
class _Counts:
    """What a curve is made of.

    Attributes:
        hits: levels of the detections that find a face; a level is the first threshold reached.
        proposals: levels of all detections that count.
        num_faces: to be found.
    """

    hits: np.ndarray
    proposals: np.ndarray
    num_faces: int

    def average_precision(self) -> float:
        found, proposed = count_per_threshold(self.hits), count_per_threshold(self.proposals)
        return float(_average_precisions(found, proposed, self.num_faces))


class ErrorAnalysis:
    """Detections, matched once with all annotated faces; any subset of these can be looked at.

    Attributes:
        detections: (D, 5) ``x, y, width, height, score``, those of images of the ground truth.
        image_index: (D,) image of each.
        face: (D,) the face that each overlaps most, if by at least ``BACKGROUND_IOU``; else -1.
        iou: (D,) with this face; 0 without one.
        finder: (M,) the detection that finds each face; -1 without one.

    Args:
        detections: ``"<event>/<image stem>"`` -> (n, 5) ``x, y, width, height, score`` in pixels
            of the original image.
        ground_truth: annotated faces.

    Raises:
        ValueError: if detections are malformed.
    """

    def __init__(self, detections: Mapping[str, np.ndarray], ground_truth: GroundTruth):
        images = ground_truth.images
        self.image_index, self.detections = concatenate_rows(
            ((image, detections.get(image, ())) for image in images), 5
        )
        self.face, self.iou = most_overlapped_faces(
            self.detections[:, :4],
            self.image_index,
            ground_truth.boxes,
            ground_truth.image_index,
            BACKGROUND_IOU,
        )
        scores = self.detections[:, 4]
        self._level = first_threshold_passed(scores)
        num_faces = np.bincount(ground_truth.image_index, minlength=len(images))
        # Detections in images without any face are no proposals.
        self._counts = num_faces[self.image_index] > 0
        self._is_on = self.iou >= FOUND_IOU
        self._is_near = (self.face >= 0) & ~self._is_on
        faces, finders = first_finders(np.where(self._is_on, self.face, -1), scores)
        self.finder = np.full(len(ground_truth.boxes), -1)
        self.finder[faces] = finders

    def split(self, kept: np.ndarray) -> ErrorSplit:
        """Tell the errors in finding some of the faces.

        Args:
            kept: (M,) bool, the faces to be found; the others are ignored.
        """
        is_kind = self._kinds(kept)
        level, hits = self._level, self._hits(kept)
        false = np.flatnonzero(np.any([is_kind[kind] for kind in _FALSE_POSITIVES], axis=0))
        now = _Counts(level[hits], level[np.concatenate((hits, false))], int(kept.sum()))
        num_missed = int(is_kind[MISSED].sum())
        placed = self._placed_hits(kept)

        def without(kind: str) -> np.ndarray:
            return level[np.concatenate((hits, false[~is_kind[kind][false]]))]

        def with_placed(kinds: tuple[str, ...]) -> np.ndarray:
            others = np.any([is_kind[kind] for kind in kinds], axis=0)
            return level[np.concatenate((placed, np.flatnonzero(others)))]

        mended = {
            MISSED: _Counts(now.hits, now.proposals, now.num_faces - num_missed),
            BADLY_PLACED: _Counts(
                level[placed], with_placed((DUPLICATE, BACKGROUND)), now.num_faces
            ),
            DUPLICATE: _Counts(now.hits, without(DUPLICATE), now.num_faces),
            BACKGROUND: _Counts(now.hits, without(BACKGROUND), now.num_faces),
        }
        ap = now.average_precision()
        no_false = _Counts(now.hits, now.hits, now.num_faces)
        no_unfound = _Counts(now.hits, now.proposals, len(hits))
        perfect = _Counts(level[placed], level[placed], now.num_faces - num_missed)
        return ErrorSplit(
            num_faces=now.num_faces,
            num_not_found=now.num_faces - len(hits),
            ap=ap,
            is_kind=is_kind,
            gain={kind: counts.average_precision() - ap for kind, counts in mended.items()},
            gain_false_positives=no_false.average_precision() - ap,
            gain_false_negatives=no_unfound.average_precision() - ap,
            ap_without_errors=perfect.average_precision(),
        )

    def gains_of_detections(self, kept: np.ndarray) -> np.ndarray:
        """By how much the AP would grow if a detection alone were mended.

        Args:
            kept: (M,) bool, the faces to be found.

        Returns:
            (D,) fractions of 1; 0 for detections that are no error.
        """
        is_kind, level = self._kinds(kept), self._level
        hits = self._hits(kept)
        false = np.flatnonzero(np.any([is_kind[kind] for kind in _FALSE_POSITIVES], axis=0))
        gains = np.zeros(len(level))
        if not kept.any() or not len(false):
            return gains
        found = count_per_threshold(level[hits])
        proposed = count_per_threshold(level[np.concatenate((hits, false))])
        # Mending changes the curve thus: one hit more from threshold `a` to before `b`, and one
        # proposal less from `c` on.
        changes = np.full((len(false), 3), _NEVER)
        changes[:, 2] = level[false]
        scores = self.detections[:, 4]
        face = self.face[false]
        may_find = is_kind[BADLY_PLACED][false] & kept[face]
        finder = self.finder[face]
        new = may_find & (finder < 0)
        changes[new, 0], changes[new, 2] = level[false[new]], _NEVER
        better = may_find & (finder >= 0) & (scores[false] > scores[finder])
        changes[better, 0] = level[false[better]]
        changes[better, 1] = changes[better, 2] = level[finder[better]]
        unique, inverse = np.unique(changes, axis=0, return_inverse=True)
        aps = np.empty(len(unique))
        threshold = np.arange(NUM_THRESHOLDS)
        for start in range(0, len(unique), _CURVES_PER_BLOCK):
            block = slice(start, start + _CURVES_PER_BLOCK)
            first, last, less = unique[block].T[..., None]
            aps[block] = _average_precisions(
                found + ((threshold >= first) & (threshold < last)),
                proposed - (threshold >= less),
                int(kept.sum()),
            )
        now = float(_average_precisions(found, proposed, int(kept.sum())))
        gains[false] = aps[inverse.ravel()] - now
        return gains

    def _kinds(self, kept: np.ndarray) -> dict[str, np.ndarray]:
        is_kept_face = self._is_on & kept[self.face] if len(kept) else self._is_on
        is_finder = np.zeros(len(self.face), bool)
        is_finder[self.finder[self.finder >= 0]] = True
        claimed = np.zeros(len(kept), bool)
        claimed[self.face[self._is_near]] = True
        return {
            MISSED: kept & (self.finder < 0) & ~claimed,
            BADLY_PLACED: self._is_near,
            DUPLICATE: is_kept_face & ~is_finder,
            BACKGROUND: self._counts & (self.face < 0),
        }

    def _hits(self, kept: np.ndarray) -> np.ndarray:
        """The detections that find a face."""
        return self.finder[kept & (self.finder >= 0)]

    def _placed_hits(self, kept: np.ndarray) -> np.ndarray:
        """The detections that would find a face if all were well placed; the old finder of ties."""
        scores = self.detections[:, 4]
        faces, candidates = first_finders(np.where(self._is_near, self.face, -1), scores)
        finder = self.finder.copy()
        old = finder[faces]
        is_better = (old < 0) | (scores[candidates] > scores[old]) if len(faces) else old < 0
        finder[faces[is_better]] = candidates[is_better]
        return finder[kept & (finder >= 0)]


def _average_precisions(
    num_found: np.ndarray, num_proposals: np.ndarray, num_faces: int
) -> np.ndarray:
    """(...) AP of (..., T) counts at each threshold; nan if no face is to be found."""
    if num_faces == 0:
        return np.full(num_found.shape[:-1], np.nan)
    return average_precisions(num_found / num_faces, precisions(num_found, num_proposals))
