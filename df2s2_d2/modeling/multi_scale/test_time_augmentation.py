"""Detection in several sizes of an image, mirrored and not, merged into one set of boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import detection_utils
from detectron2.data.transforms import ResizeTransform
from detectron2.layers import batched_nms
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.modeling.boxes import round_outward
from df2s2_d2.modeling.meta_arch_settings import detection_thresholds
from df2s2_d2.modeling.multi_scale.box_voting import box_voting
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale, image_scales
from df2s2_d2.modeling.multi_scale.tiling import Tiles

_MERGES = ("nms", "box_voting")
_OVER_BUDGET = ("tile", "skip")


@dataclass(frozen=True)
class _Copy:
    """An image in one of its sizes, not mirrored."""

    scale: ImageScale
    tiles: Tiles


class DenseDetectorWithTTA(nn.Module):
    """A detector that looks at every image several times, with the interface of the detector.

    Each image is resized from its original by every scale; with the scale's flip, its mirror image
    is looked at too. Copies above the memory budget are looked at in overlapping tiles. What the
    detector finds in a copy, after its own thresholds, is brought to the original image, limited
    to the face sizes of the scale, and merged (DF²S² §4.2, "multi-scale"; DSFD, test code).

    Args:
        model: maps ``list[dict]`` with ``image``, ``height`` and ``width`` to ``list[dict]`` with
            ``instances`` that have ``pred_boxes``, ``scores`` and ``pred_classes``.
        scales: sizes of the copies.
        max_pixels: most pixels, height x width after padding, that the model gets at once.
        tile_overlap: least overlap of tiles, in pixels of the copy.
        over_budget: what becomes of enlarged copies with more pixels: "tile" or "skip". All other
            copies are tiled, and so is the smallest if no other is left.
        merge: "nms" or "box_voting".
        vote_iou, keep_single_votes: see :func:`~.box_voting.box_voting`.
        nms_threshold: of the merge by "nms".
        max_detections: per image, highest scores first.
        image_format: order of the channels of images that are read here, e.g. "BGR".
        size_divisibility: to multiples of which the model pads images.

    Raises:
        ValueError: if ``merge`` or ``over_budget`` is none of these.
    """

    @configurable
    def __init__(
        self,
        *,
        model: nn.Module,
        scales: list[ImageScale],
        max_pixels: int,
        tile_overlap: int = 256,
        over_budget: str = "tile",
        merge: str = "box_voting",
        vote_iou: float = 0.3,
        keep_single_votes: bool = True,
        nms_threshold: float = 0.4,
        max_detections: int = 750,
        image_format: str = "BGR",
        size_divisibility: int = 1,
    ):
        super().__init__()
        self.model = bare_model(model)
        # As the model's, which evaluation loops restore.
        self.training = model.training
        self.scales = scales
        self.max_pixels = max_pixels
        self.tile_overlap = tile_overlap
        self.over_budget = over_budget
        self.merge = merge
        self.vote_iou = vote_iou
        self.keep_single_votes = keep_single_votes
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections
        self.image_format = image_format
        self.size_divisibility = size_divisibility
        _check_choice("over_budget", over_budget, _OVER_BUDGET)
        _check_choice("merge", merge, _MERGES)

    @classmethod
    def from_config(cls, cfg: CfgNode, model: nn.Module) -> dict:
        """Arguments of the constructor from ``TEST.AUG`` and the keys of the detector."""
        check_test_time_augmentation(cfg)
        aug = cfg.TEST.AUG
        own = cfg.MODEL.FACE_DETECTOR.NMS_THRESH_TEST
        return {
            "model": model,
            "scales": image_scales(cfg),
            "max_pixels": aug.MAX_PIXELS,
            "tile_overlap": aug.TILE_OVERLAP,
            "over_budget": aug.OVER_BUDGET,
            "merge": aug.MERGE,
            "vote_iou": aug.VOTE_IOU,
            "keep_single_votes": aug.KEEP_SINGLE_VOTES,
            # Of a meta-architecture that is not known here nothing is known.
            "nms_threshold": detection_thresholds(cfg).get("NMS_THRESH_TEST", own),
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
            "image_format": cfg.INPUT.FORMAT,
            "size_divisibility": size_divisibility(bare_model(model)),
        }

    @torch.no_grad()
    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """
        Args:
            batched_inputs: one dict per image with ``image``, its original as a (3, H, W) tensor,
                or ``file_name``, from where it is read.

        Returns:
            For each image a dict with ``instances``: ``pred_boxes``, ``scores`` and
            ``pred_classes`` in pixels of the original image, by descending score.

        Raises:
            ValueError: if an ``image`` has not the ``height`` and ``width`` of its dict.
        """
        return [{"instances": self._detect(self._original(inputs))} for inputs in batched_inputs]

    def _original(self, inputs: dict) -> np.ndarray:
        """(H, W, 3)."""
        if "image" not in inputs:
            return detection_utils.read_image(inputs["file_name"], format=self.image_format)
        image = inputs["image"].permute(1, 2, 0).cpu().numpy()
        height, width = image.shape[:2]
        if (inputs.get("height", height), inputs.get("width", width)) != (height, width):
            raise ValueError(
                f"{inputs.get('file_name', 'An image')} of {inputs['width']} x {inputs['height']} "
                f"pixels came resized to {width} x {height}, but test-time augmentation starts "
                "from the original: build the dataset mapper with TEST.AUG.ENABLED"
            )
        return image

    def _detect(self, image: np.ndarray) -> Instances:
        size = image.shape[:2]
        copies = self._copies(size)
        # What every tile of a copy cuts, the copies that are looked at in one piece show whole.
        keep_cut = all(len(copy.tiles) > 1 for copy in copies)
        found = []
        with self._without_rounding() as is_rounded:
            for copy in copies:
                resize = ResizeTransform(*size, *copy.tiles.image_size)
                # Copied: Pillow's arrays are read-only.
                resized = torch.from_numpy(resize.apply_image(image).transpose(2, 0, 1).copy())
                for flip in (False, True) if copy.scale.flip else (False,):
                    instances = self._detect_in_tiles(resized, copy.tiles, flip, keep_cut)
                    found.append(copy.scale.limit(to_size(instances, size)))
        merged = self._merge(Instances.cat(found))
        if is_rounded:
            merged.pred_boxes.tensor = round_outward(merged.pred_boxes.tensor)
            merged.pred_boxes.clip(size)
        return merged

    def _copies(self, size: tuple[int, int]) -> list[_Copy]:
        """Copies of an image that are to be looked at."""
        all_copies = [
            _Copy(
                scale,
                Tiles(
                    scale.resized(size), self.max_pixels, self.tile_overlap, self.size_divisibility
                ),
            )
            for scale in self.scales
        ]
        if self.over_budget == "tile":
            return all_copies
        areas = [math.prod(copy.tiles.image_size) for copy in all_copies]
        kept = [
            copy
            for copy, area in zip(all_copies, areas, strict=True)
            if len(copy.tiles) == 1 or area <= math.prod(size)
        ]
        return kept or [all_copies[areas.index(min(areas))]]

    @contextmanager
    def _without_rounding(self) -> Iterator[bool]:
        """Boxes come out of the model as exact as they are; says whether they otherwise do not."""
        is_rounded = getattr(self.model, "round_boxes_outward", False)
        if is_rounded:
            self.model.round_boxes_outward = False
        try:
            yield is_rounded
        finally:
            if is_rounded:
                self.model.round_boxes_outward = True

    def _detect_in_tiles(
        self, image: Tensor, tiles: Tiles, flip: bool, keep_cut: bool
    ) -> Instances:
        """Detections in a copy or its mirror image, in pixels of the copy."""
        height, width = tiles.image_size
        if flip:
            image = image.flip(-1)
        found = []
        for index, (left, top, right, bottom) in enumerate(tiles.corners.tolist()):
            part = image[:, top:bottom, left:right]
            size = {"height": bottom - top, "width": right - left}
            instances = self.model([{"image": part, **size}])[0]["instances"]
            boxes = instances.pred_boxes.tensor
            boxes = boxes + boxes.new_tensor([left, top, left, top])
            kept = tiles.selects(boxes, index, keep_cut)
            if flip:
                boxes = torch.stack(
                    (width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), dim=1
                )
            found.append(
                Instances(
                    (height, width),
                    pred_boxes=Boxes(boxes[kept]),
                    scores=instances.scores[kept],
                    pred_classes=instances.pred_classes[kept],
                )
            )
        return Instances.cat(found)

    def _merge(self, found: Instances) -> Instances:
        boxes, scores, classes = found.pred_boxes.tensor, found.scores, found.pred_classes
        if self.merge == "nms":
            keep = batched_nms(boxes, scores, classes, self.nms_threshold)
            return found[keep[: self.max_detections]]
        boxes, scores, classes = box_voting(
            boxes, scores, classes, self.vote_iou, self.keep_single_votes
        )
        merged = Instances(
            found.image_size, pred_boxes=Boxes(boxes), scores=scores, pred_classes=classes
        )
        return merged[: self.max_detections]


def bare_model(model: nn.Module) -> nn.Module:
    """A model without what distributes its training."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def size_divisibility(model: nn.Module) -> int:
    """To multiples of what a model pads the sides of its images."""
    return max(1, getattr(getattr(model, "backbone", None), "size_divisibility", 1))


def check_test_time_augmentation(cfg: CfgNode) -> None:
    """Check the keys below ``TEST.AUG``.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    check_keys_added(cfg, "TEST.AUG.SCALES")
    aug = cfg.TEST.AUG
    image_scales(cfg)
    _check_choice("TEST.AUG.MERGE", aug.MERGE, _MERGES)
    _check_choice("TEST.AUG.OVER_BUDGET", aug.OVER_BUDGET, _OVER_BUDGET)
    if not 0 < aug.VOTE_IOU <= 1:
        raise ValueError(f"TEST.AUG.VOTE_IOU: expected more than 0, up to 1; found {aug.VOTE_IOU}")
    if aug.TILE_OVERLAP < 0:
        raise ValueError(
            f"TEST.AUG.TILE_OVERLAP: expected 0 pixels or more; found {aug.TILE_OVERLAP}"
        )
    # Padding to multiples of at most 128 takes less than 256 pixels of a tile's side.
    least = (aug.TILE_OVERLAP + 256) ** 2
    if aug.MAX_PIXELS < least:
        raise ValueError(
            f"TEST.AUG.MAX_PIXELS: expected {least} or more, so that tiles can overlap by "
            f"TEST.AUG.TILE_OVERLAP = {aug.TILE_OVERLAP} pixels; found {aug.MAX_PIXELS}"
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}; found {value!r}")


def to_size(instances: Instances, size: tuple[int, int]) -> Instances:
    """The detections after resizing their image to (height, width); empty boxes are dropped."""
    if instances.image_size == size:
        return instances
    height, width = instances.image_size
    boxes = instances.pred_boxes
    boxes.scale(size[1] / width, size[0] / height)
    boxes.clip(size)
    return Instances(size, **instances.get_fields())[boxes.nonempty()]
