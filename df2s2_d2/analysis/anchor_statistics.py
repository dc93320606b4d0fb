"""Anchors matched by each training face, as a config augments and matches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from tqdm import tqdm

from df2s2_d2.data import FaceDatasetMapper, build_mosaic
from df2s2_d2.data.augmentation import SquareWindowTransform
from df2s2_d2.data.mosaic import quarter_shifts
from df2s2_d2.modeling.anchors import GridAnchorGenerator
from df2s2_d2.modeling.targets import POSITIVE, AnchorMatcher

# A face counts as near an anchor size if neither is larger than the other by more than this. With
# anchors an octave apart, half of the faces are if their sizes are spread evenly between them.
NEAR_FACTOR = 2**0.25
SIZE_EDGES = [0, 8, 16, 32, 64, 128, 256, 512, np.inf]
# Upper ends of the columns for faces without a match, with 1, with 2 to 4, ...
COUNT_EDGES = [0, 1, 4, 9, np.inf]
# Anchors matched at once: some 50 bytes each.
_ANCHORS_PER_BATCH = 2_000_000


class NoFaceLeftError(ValueError):
    """No face of the images is trained on."""


class BoxesOnly:
    """A ``T.AugInput`` whose boxes move while of its image there is only the size."""

    def __init__(self, image_size: tuple[int, int], boxes: np.ndarray) -> None:
        self.image_size = image_size
        self.boxes = boxes

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 of one byte of memory."""
        return np.broadcast_to(np.uint8(0), (*self.image_size, 3))

    def transform(self, transform: T.Transform) -> None:
        """Apply a transform in place."""
        self.boxes = transform.apply_box(self.boxes)
        # The two that would compute pixels.
        if isinstance(transform, T.ResizeTransform):
            self.image_size = (transform.new_h, transform.new_w)
        elif isinstance(transform, SquareWindowTransform):
            self.image_size = (transform.size, transform.size)
        else:
            self.image_size = transform.apply_image(self.image).shape[:2]


@dataclass(frozen=True)
class AnchorStatistics:
    """What became of every face of one pass over the training images.

    Attributes:
        num_images: images that were augmented.
        anchor_sizes: ascending, of all levels.
        face_sizes: (F,) of the faces that are trained on.
        counts: (F,) int64, positive anchors of each.
    """

    num_images: int
    anchor_sizes: np.ndarray
    face_sizes: np.ndarray
    counts: np.ndarray

    @property
    def octaves_to_anchor(self) -> np.ndarray:
        """(F,) log2 of a face's size over that of the anchor nearest in this measure."""
        distances = np.log2(self.face_sizes[:, None] / self.anchor_sizes)
        return np.take_along_axis(distances, np.abs(distances).argmin(axis=1)[:, None], 1)[:, 0]

    def summary(self) -> dict[str, Any]:
        """Figures of all faces, and of those of each size, ready for JSON."""
        near = np.abs(self.octaves_to_anchor) <= np.log2(NEAR_FACTOR)
        rows = np.digitize(self.face_sizes, SIZE_EDGES) - 1
        by_size = [
            {"size": _range_name(low, high), **self._figures(rows == row, near)}
            for row, (low, high) in enumerate(zip(SIZE_EDGES, SIZE_EDGES[1:], strict=False))
        ]
        means = [row["mean_anchors"] for row in by_size if row["faces"]]
        return {
            "images": self.num_images,
            "anchor_sizes": self.anchor_sizes.tolist(),
            "near_factor": NEAR_FACTOR,
            "all": self._figures(np.full(len(rows), True), near),
            "mean_of_sizes": float(np.mean(means)) if means else None,
            "by_size": by_size,
            "faces_by_count": np.bincount(self.counts).tolist(),
        }

    def _figures(self, chosen: np.ndarray, near: np.ndarray) -> dict[str, Any]:
        num_faces = int(chosen.sum())
        if num_faces == 0:
            return {"faces": 0, "mean_anchors": None, "share_near": None, "shares_by_count": {}}
        counts = self.counts[chosen]
        names = [_range_name(low + 1, high) for low, high in _count_ranges()]
        within = [((counts > low) & (counts <= high)).mean() for low, high in _count_ranges()]
        return {
            "faces": num_faces,
            "mean_anchors": float(counts.mean()),
            "share_near": float(near[chosen].mean()),
            "shares_by_count": dict(zip(names, map(float, within), strict=True)),
        }


def _count_ranges() -> list[tuple[float, float]]:
    return list(zip([-1, *COUNT_EDGES], COUNT_EDGES, strict=False))


def _range_name(low: float, high: float) -> str:
    if high == np.inf:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"


def augment(
    cfg: CfgNode, records: Sequence[dict[str, Any]]
) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Faces (M, 4) and size (height, width) of each image as training on ``cfg`` would see it."""
    cfg = cfg.clone()
    cfg.INPUT.PHOTOMETRIC_DISTORTION = False  # It moves no box.
    mapper, mosaic = FaceDatasetMapper(cfg, is_train=True), build_mosaic(cfg)
    for record in records:
        if mosaic is None or not mosaic.is_next():
            yield _augment_boxes(mapper, record)
            continue
        others = [records[index] for index in np.random.randint(len(records), size=3)]
        quarters = [_augment_boxes(mosaic.mapper, quarter) for quarter in (record, *others)]
        height, width = quarters[0][1]
        image_size = (2 * height, 2 * width)
        shifts = quarter_shifts(image_size)
        boxes = [faces + shift for (faces, _), shift in zip(quarters, shifts, strict=True)]
        yield np.concatenate(boxes), image_size


def _augment_boxes(
    mapper: FaceDatasetMapper, record: dict[str, Any]
) -> tuple[np.ndarray, tuple[int, int]]:
    image_size = (record["height"], record["width"])
    faces, regions = mapper.split(record["annotations"], image_size)
    inputs = BoxesOnly(image_size, faces)
    faces, _ = mapper.augment(inputs, regions)
    return faces, inputs.image_size


def build_anchors(cfg: CfgNode, key: str = "SHOT") -> tuple[GridAnchorGenerator, AnchorMatcher]:
    """Anchors and matching rule of a shot, without its network.

    Args:
        cfg: of the detector.
        key: of the shot in ``cfg.MODEL``.

    Raises:
        ValueError: if the stride of a map does not follow from its name.
    """
    shot = cfg.MODEL[key]
    try:
        strides = [2 ** int(name[1:]) for name in shot.IN_FEATURES]
    except ValueError:
        raise ValueError(
            f"MODEL.{key}.IN_FEATURES: expected names such as p2, for the stride 2 ** 2; "
            f"found {shot.IN_FEATURES}."
        ) from None
    generator = GridAnchorGenerator.from_node(shot.ANCHORS, strides)
    return generator, AnchorMatcher.from_node(shot.MATCHING)


def count_matches(
    generator: GridAnchorGenerator,
    matcher: AnchorMatcher,
    images: list[tuple[np.ndarray, tuple[int, int]]],
) -> np.ndarray:
    """Positive anchors of each face.

    Args:
        generator, matcher: of :func:`build_anchors`.
        images: faces (M, 4) and size (height, width) of each.

    Returns:
        (F,) int64, F = faces of all images.
    """
    # The maps cover the largest image; anchors outside a smaller one are left out.
    height, width = np.max([size for _, size in images], axis=0).tolist()
    grids = generator.grids([(-(-height // s), -(-width // s)) for s in generator.strides])
    batch_size = max(1, _ANCHORS_PER_BATCH // sum(map(len, grids)))
    counts = []
    for start in tqdm(
        range(0, len(images), batch_size), desc="Matching", unit="batch", disable=None
    ):
        boxes, sizes = zip(*images[start : start + batch_size], strict=True)
        faces = torch.from_numpy(np.concatenate(boxes)).float()
        face_images = torch.arange(len(boxes)).repeat_interleave(torch.tensor([*map(len, boxes)]))
        matches = matcher(grids, faces, face_images, torch.tensor(sizes))
        matched = matches.faces[matches.labels == POSITIVE]
        counts.append(torch.bincount(matched, minlength=len(faces)).numpy())
    return np.concatenate(counts)


def analyze(cfg: CfgNode, records: list[dict[str, Any]], seed: int = 0) -> AnchorStatistics:
    """Augment every image once and match its faces.

    Args:
        cfg: whose INPUT and MODEL.SHOT are analyzed.
        records: dataset dicts with sizes.
        seed: of the augmentation.

    Raises:
        NoFaceLeftError: if no face is left to be matched.
        ValueError: if the config does not fit together.
    """
    np.random.seed(seed)
    generator, matcher = build_anchors(cfg)
    augmented, total = augment(cfg, records), len(records)
    images = list(tqdm(augmented, "Augmenting", total, unit="image", disable=None))
    boxes = np.concatenate([faces for faces, _ in images])
    if len(boxes) == 0:
        raise NoFaceLeftError(
            f"No face of the {len(images)} images is trained on: check the annotations, and "
            "INPUT.MIN_FACE_SIZE and INPUT.MIN_ORIGINAL_FACE_SIZE."
        )
    with _one_thread():
        counts = count_matches(generator, matcher, images)
    return AnchorStatistics(
        num_images=len(images),
        anchor_sizes=np.unique(generator.sizes),
        face_sizes=np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)),
        counts=counts,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    # The tensors of matching are small: threads would mostly wait for each other.
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
