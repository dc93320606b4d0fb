"""Training images as the network gets them, with what it is to learn from each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.detection_utils import convert_image_to_rgb

from df2s2_d2.analysis.anchor_statistics import build_anchors
from df2s2_d2.data import FaceDatasetMapper, build_mosaic
from df2s2_d2.data.mosaic import Mosaic
from df2s2_d2.data.sampling import Sample, repeat_factors, sample_order
from df2s2_d2.data.train_loader import MappedSamples
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
    """One augmented image, or a mosaic of four.

    Attributes:
        image_ids: name of the image, or of those in the quarters, row by row.
        image: (H, W, 3) uint8 RGB, as the network gets it.
        faces: (F, 4) float32, XYXY in pixels of ``image``.
        regions: (G, 4) float32, neither face nor background.
        num_annotated: faces in the whole images, before augmentation.
        shots: name of the shot -> its levels, finest first.
    """

    image_ids: tuple[str, ...]
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


class _NotingMapper:
    """A mapper that notes which images became samples, and how many faces these have.

    Attributes:
        noted: a name and a number of each; to be emptied by who reads it.
    """

    def __init__(self, mapper: FaceDatasetMapper, noted: list[tuple[str, int]]) -> None:
        self._mapper = mapper
        self.noted = noted

    def __call__(self, record: dict[str, Any]) -> dict[str, Any] | None:
        sample = self._mapper(record)
        if sample is not None:
            size = sample["height"], sample["width"]
            faces, _ = self._mapper.split(record["annotations"], size)
            self.noted.append((record["image_id"], len(faces)))
        return sample


def load_samples(
    cfg: CfgNode, count: int, seed: int = 0, image_ids: Sequence[str] = (), repeats: int = 1
) -> Iterator[TrainingSample]:
    """Map images as a training does: some become mosaics, others replace what is broken.

    What becomes of an image depends on the seed and its place alone.

    Args:
        cfg: of the training.
        count: images, the first of all of DATASETS.TRAIN that the sampler shows with the seed.
        seed: of the choice and of the augmentation.
        image_ids: the images to take instead.
        repeats: how often each image is augmented.

    Raises:
        OSError, ValueError: if a data set or an image is not as it should be.
    """
    data_sets = _training_sets(cfg)
    images = [record for records in data_sets.values() for record in records]
    factors = repeat_factors(cfg, data_sets, seed)
    if image_ids:
        chosen = _places(cfg, images, image_ids)
    else:
        chosen = list(islice(sample_order(factors, seed), min(count, len(images))))
    noted: list[tuple[str, int]] = []
    mapper, mosaic = _NotingMapper(FaceDatasetMapper(cfg, is_train=True), noted), build_mosaic(cfg)
    if mosaic is not None:
        mosaic = Mosaic(_NotingMapper(mosaic.mapper, noted), mosaic.prob)
    samples = MappedSamples(images, mapper, factors, mosaic)
    targets = TrainingTargets(cfg)
    for place, index in enumerate(index for index in chosen for _ in range(repeats)):
        sample = samples[Sample(index, seed, place)]
        image = sample["image"].permute(1, 2, 0)
        yield TrainingSample(
            image_ids=tuple(image_id for image_id, _ in noted),
            image=convert_image_to_rgb(image, cfg.INPUT.FORMAT),
            faces=sample["instances"].gt_boxes.tensor.numpy(),
            regions=sample["ignore_regions"].numpy(),
            num_annotated=sum(faces for _, faces in noted),
            shots=targets.of(sample),
        )
        noted.clear()


def named_records(cfg: CfgNode, image_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The dataset dicts of images in DATASETS.TRAIN.

    Args:
        cfg: of the training.
        image_ids: ``"<event>/<image stem>"``.

    Raises:
        ValueError: if there is no such data set, or an image is not in the training set.
    """
    images = [record for records in _training_sets(cfg).values() for record in records]
    return [images[place] for place in _places(cfg, images, image_ids)]


def _training_sets(cfg: CfgNode) -> dict[str, list[dict[str, Any]]]:
    if not cfg.DATASETS.TRAIN:
        raise ValueError("DATASETS.TRAIN names no data set: give one by --opts DATASETS.TRAIN")
    unknown = [name for name in cfg.DATASETS.TRAIN if name not in DatasetCatalog]
    if unknown:
        raise ValueError(f"DATASETS.TRAIN: there is no data set {unknown[0]!r}")
    data_sets = {name: DatasetCatalog.get(name) for name in cfg.DATASETS.TRAIN}
    if not any(data_sets.values()):
        raise ValueError(f"DATASETS.TRAIN has no image: {', '.join(data_sets)}")
    return data_sets


def _places(cfg: CfgNode, images: Sequence[dict[str, Any]], image_ids: Sequence[str]) -> list[int]:
    places = {image["image_id"]: place for place, image in enumerate(images)}
    absent = [image_id for image_id in image_ids if image_id not in places]
    if absent:
        raise ValueError(
            f"{absent[0]!r} is not an image of {', '.join(cfg.DATASETS.TRAIN)}: name it like "
            f"{next(iter(places))!r}"
        )
    return [places[image_id] for image_id in image_ids]
