"""Training images as the network gets them, with what it is to learn from each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.detection_utils import convert_image_to_rgb

from df2s2_d2.analysis.anchor_statistics import build_anchors
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.seeding import seeded_random
from df2s2_d2.modeling.anchors import GridAnchorGenerator
from df2s2_d2.modeling.targets import POSITIVE, GroundTruth, TargetRule


@dataclass(frozen=True)
class LevelTargets:
    """What one level of a shot is to learn from an image.

    Attributes:
        name: of the level's map, such as "p3".
        anchor_sizes: square roots of the anchors' areas, in pixels.
        anchors: (P, 4) float32 positive anchors, XYXY in pixels of the image.
        faces: (P,) int64, the face of each.
        mask: (h, w) bool weak mask, its cells from the image's top-left corner on; None without.
        stride: pixels of the image in a cell.
    """

    name: str
    anchor_sizes: list[float]
    anchors: np.ndarray
    faces: np.ndarray
    mask: np.ndarray | None
    stride: int


@dataclass(frozen=True)
class TrainingSample:
    """One augmented image.

    Attributes:
        image_id: name of the image.
        image: (H, W, 3) uint8 RGB, as the network gets it.
        faces: (F, 4) float32, XYXY in pixels of ``image``.
        regions: (G, 4) float32, neither face nor background.
        num_annotated: faces in the whole image, before augmentation.
        shots: name of the shot -> its levels, finest first.
    """

    image_id: str
    image: np.ndarray
    faces: np.ndarray
    regions: np.ndarray
    num_annotated: int
    shots: dict[str, list[LevelTargets]]

    def anchors_per_face(self, shot: str) -> np.ndarray:
        """(F,) int64 positive anchors of each face on all levels of a shot."""
        owners = [level.faces for level in self.shots[shot]]
        return np.bincount(np.concatenate(owners), minlength=len(self.faces))


class TrainingTargets:
    """The targets of each shot of a config, without its network.

    Args:
        cfg: whose MODEL.SHOT, and MODEL.FIRST_SHOT if it is enabled, it is about.

    Raises:
        ValueError: if the stride of a map does not follow from its name.
    """

    def __init__(self, cfg: CfgNode):
        keys = ["SHOT", *(["FIRST_SHOT"] if cfg.MODEL.FIRST_SHOT.ENABLED else [])]
        self._shots: dict[str, tuple[CfgNode, GridAnchorGenerator, TargetRule]] = {}
        for key in keys:
            node = cfg.MODEL[key]
            generator, matcher = build_anchors(cfg, key)
            rule = TargetRule(matcher, node.WEAK_MASK.ASSIGNMENT, generator.sizes)
            self._shots[f"MODEL.{key}"] = node, generator, rule

    def of(self, sample: dict[str, Any]) -> dict[str, list[LevelTargets]]:
        """Shot -> its levels, for what the mapper made of an image."""
        size = tuple(sample["image"].shape[-2:])
        truth = GroundTruth.from_batch([sample], [size], torch.device("cpu"))
        return {
            name: _level_targets(node, generator, rule, truth, size)
            for name, (node, generator, rule) in self._shots.items()
        }


def _level_targets(
    node: CfgNode,
    generator: GridAnchorGenerator,
    rule: TargetRule,
    truth: GroundTruth,
    size: tuple[int, int],
) -> list[LevelTargets]:
    strides = generator.strides
    grids = generator.grids([tuple(-(-side // stride) for side in size) for stride in strides])
    matches, masks = rule(grids, truth, with_masks=node.WEAK_MASK.ENABLED)
    counts = [len(grid) for grid in grids]
    levels = []
    for number, (labels, owners) in enumerate(
        zip(matches.labels[0].split(counts), matches.faces[0].split(counts), strict=True)
    ):
        positive = labels == POSITIVE
        levels.append(
            LevelTargets(
                name=node.IN_FEATURES[number],
                anchor_sizes=generator.sizes[number],
                anchors=grids[number].boxes()[positive].numpy(),
                faces=owners[positive].numpy(),
                mask=None if masks is None else masks[number].mask[0].numpy(),
                stride=strides[number],
            )
        )
    return levels


def load_samples(
    cfg: CfgNode, count: int, seed: int = 0, image_ids: Sequence[str] = (), repeats: int = 1
) -> Iterator[TrainingSample]:
    """Map images as a training does.

    What becomes of an image depends on the seed and its place alone.

    Args:
        cfg: of the training.
        count: images, drawn from all of DATASETS.TRAIN by the seed.
        seed: of the choice and of the augmentation.
        image_ids: the images to take instead.
        repeats: how often each image is augmented.

    Raises:
        OSError, ValueError: if a data set or an image is not as it should be.
    """
    records = _choose_records(cfg, count, seed, image_ids)
    mapper = FaceDatasetMapper(cfg, is_train=True)
    targets = TrainingTargets(cfg)
    for place, record in enumerate(record for record in records for _ in range(repeats)):
        with seeded_random(seed, place):
            sample = mapper(record)
        if sample is None:  # broken, and to be passed over
            continue
        image = sample["image"].permute(1, 2, 0)
        yield TrainingSample(
            image_id=record["image_id"],
            image=convert_image_to_rgb(image, cfg.INPUT.FORMAT),
            faces=sample["instances"].gt_boxes.tensor.numpy(),
            regions=sample["ignore_regions"].numpy(),
            num_annotated=len(mapper.split(record["annotations"], _size(sample))[0]),
            shots=targets.of(sample),
        )


def _size(sample: dict[str, Any]) -> tuple[int, int]:
    return sample["height"], sample["width"]


def named_records(cfg: CfgNode, image_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The dataset dicts of images in DATASETS.TRAIN.

    Args:
        cfg: of the training.
        image_ids: ``"<event>/<image stem>"``.

    Raises:
        ValueError: if an image is not in the training set.
    """
    records = {r["image_id"]: r for name in cfg.DATASETS.TRAIN for r in DatasetCatalog.get(name)}
    absent = [image_id for image_id in image_ids if image_id not in records]
    if absent:
        example = next(iter(records))
        raise ValueError(
            f"{absent[0]!r} is not an image of {', '.join(cfg.DATASETS.TRAIN)}: name it like "
            f"{example!r}"
        )
    return [records[image_id] for image_id in image_ids]


def _choose_records(
    cfg: CfgNode, count: int, seed: int, image_ids: Sequence[str]
) -> list[dict[str, Any]]:
    if not cfg.DATASETS.TRAIN:
        raise ValueError("DATASETS.TRAIN names no data set: give one by --opts DATASETS.TRAIN")
    unknown = [name for name in cfg.DATASETS.TRAIN if name not in DatasetCatalog]
    if unknown:
        raise ValueError(f"DATASETS.TRAIN: there is no data set {unknown[0]!r}")
    if image_ids:
        return named_records(cfg, image_ids)
    records = [record for name in cfg.DATASETS.TRAIN for record in DatasetCatalog.get(name)]
    order = np.random.default_rng(seed).permutation(len(records))
    return [records[number] for number in order[:count].tolist()]
