"""One shot: a head with its own anchors, matching rule and losses on one set of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.meta_arch.dense_detector import permute_to_N_HWA_K
from torch import Tensor, nn

from df2s2_d2.modeling.anchors import AnchorGrid, GridAnchorGenerator, anchors_in_image
from df2s2_d2.modeling.heads import HeadOutputs, build_head
from df2s2_d2.modeling.losses import (
    NORMALIZERS,
    ClassificationLoss,
    build_classification_loss,
    level_box_loss,
    mask_loss,
    mean_over_workers,
    normalized_sum,
)
from df2s2_d2.modeling.map_shapes import check_maps
from df2s2_d2.modeling.targets import (
    IGNORED,
    POSITIVE,
    AnchorMatcher,
    GroundTruth,
    TargetRule,
    Targets,
)


class Shot(nn.Module):
    """A head with anchors, matching and the losses of DF²S² eq. 2 or DSFD §3.3.

    Args:
        head: maps in, :class:`HeadOutputs` out.
        anchor_generator: makes the anchors that the head predicts for.
        in_features: names of the maps, finest first.
        matcher: decides what each anchor is trained on.
        box2box_transform: the box code.
        classification_loss: of face against background.
        smooth_l1_beta: where the box loss turns linear.
        normalizer: key of :data:`NORMALIZERS`.
        box_reg_weight: λ1 of DF²S² eq. 2, β of DSFD §3.3.
        mask_weight: λ2 of DF²S² eq. 2.
        mask_assignment: "matching" or "scale", which faces a level's mask shows.
        loss_weight: factor on all losses of the shot.
        loss_suffix: appended to the names of its losses.
    """

    @configurable
    def __init__(
        self,
        *,
        head: nn.Module,
        anchor_generator: GridAnchorGenerator,
        in_features: Sequence[str],
        matcher: AnchorMatcher,
        box2box_transform: Box2BoxTransform,
        classification_loss: ClassificationLoss,
        smooth_l1_beta: float = 1.0 / 9,
        normalizer: str = "global",
        box_reg_weight: float = 1.0,
        mask_weight: float = 0.05,
        mask_assignment: str = "matching",
        loss_weight: float = 1.0,
        loss_suffix: str = "",
    ):
        super().__init__()
        if normalizer not in NORMALIZERS:
            raise ValueError(
                f"LOSS.NORMALIZER must be one of {sorted(NORMALIZERS)}, found {normalizer!r}"
            )
        self.head = head
        self.anchor_generator = anchor_generator
        self.in_features = list(in_features)
        self.target_rule = TargetRule(matcher, mask_assignment, anchor_generator.sizes)
        self.box2box_transform = box2box_transform
        code_weights = torch.tensor(box2box_transform.weights)
        self.register_buffer("code_weights", code_weights, persistent=False)
        self.classification_loss = classification_loss
        self.smooth_l1_beta = smooth_l1_beta
        self.normalizer = NORMALIZERS[normalizer]
        self.box_reg_weight = box_reg_weight
        self.mask_weight = mask_weight
        self.loss_weight = loss_weight
        self.loss_suffix = loss_suffix

    def check_fit(self, shapes: Mapping[str, ShapeSpec]) -> None:
        """Check that the shot fits the maps of a backbone, as far as its head says what it wants.

        Args:
            shapes: of all maps of the backbone.

        Raises:
            ValueError: if maps are missing, or head and anchors were built for others.
        """
        _check_names(self.in_features, shapes)
        wanted = getattr(self.head, "input_shape", None)
        if wanted is not None:
            check_maps("The head of a shot", wanted, "the backbone", shapes)
            if list(wanted) != self.in_features:
                raise ValueError(
                    f"A shot's head was built for the maps {list(wanted)}, but its in_features are "
                    f"{self.in_features}: give both the same, in the same order"
                )
        strides = [shapes[name].stride for name in self.in_features]
        if list(self.anchor_generator.strides) != strides:
            raise ValueError(
                f"A shot's anchors have strides {list(self.anchor_generator.strides)}, but its "
                f"maps {self.in_features} have {strides}: give the anchor generator these"
            )
        count = self.anchor_generator.num_anchors[0]
        if getattr(self.head, "num_anchors", count) != count:
            raise ValueError(
                f"A shot's head predicts {self.head.num_anchors} anchors a cell, but there are "
                f"{count}, octaves x aspect ratios: give its num_anchors this number"
            )

    @classmethod
    def from_config(
        cls,
        cfg: CfgNode,
        input_shape: dict[str, ShapeSpec],
        sources: dict[str, str] | None = None,
        **overrides,
    ) -> dict:
        """
        Args:
            cfg: a shot's node, such as ``cfg.MODEL.SHOT``.
            input_shape: of all maps of the backbone.
            sources: for maps made of another map without parameters, the name of that map.
        """
        _check_names(cfg.IN_FEATURES, input_shape)
        shapes = [input_shape[name] for name in cfg.IN_FEATURES]
        anchor_generator = GridAnchorGenerator.from_node(
            cfg.ANCHORS, strides=[shape.stride for shape in shapes]
        )
        return {
            "head": build_head(
                cfg,
                input_shape={name: input_shape[name] for name in cfg.IN_FEATURES},
                sources=sources or {},
                num_anchors=anchor_generator.num_anchors[0],
            ),
            "anchor_generator": anchor_generator,
            "in_features": list(cfg.IN_FEATURES),
            "matcher": AnchorMatcher.from_node(cfg.MATCHING),
            "box2box_transform": _build_box_transform(cfg.LOSS.BBOX_REG_WEIGHTS),
            "classification_loss": build_classification_loss(cfg.LOSS),
            "smooth_l1_beta": cfg.LOSS.SMOOTH_L1_BETA,
            "normalizer": cfg.LOSS.NORMALIZER,
            "box_reg_weight": cfg.LOSS.BOX_REG_WEIGHT,
            "mask_weight": cfg.WEAK_MASK.LOSS_WEIGHT,
            "mask_assignment": cfg.WEAK_MASK.ASSIGNMENT,
            **overrides,
        }

    def forward(self, features: dict[str, Tensor]) -> HeadOutputs:
        """Predict on the maps that the shot is for; all maps may be given."""
        return self.head([features[name] for name in self.in_features])

    def grids(self, outputs: HeadOutputs) -> list[AnchorGrid]:
        """The anchor grids that belong to the predictions, one per level."""
        return self.anchor_generator.grids([tuple(x.shape[-2:]) for x in outputs.logits])

    # N = images, R = anchors of all levels, L = levels, F = faces of all images

    def losses(self, outputs: HeadOutputs, ground_truth: GroundTruth) -> dict[str, Tensor]:
        """The weighted terms of the shot's loss.

        Every term is connected with the network at every step, also in a batch without faces.

        Args:
            outputs: of :meth:`forward`.
            ground_truth: of the same batch.

        Returns:
            ``loss_cls``, ``loss_box_reg`` and, if the head predicts masks, ``loss_mask``; scalars.
        """
        targets = self.targets(outputs, ground_truth)
        return self.losses_to_targets(outputs, targets, ground_truth.faces)

    def targets(self, outputs: HeadOutputs, ground_truth: GroundTruth) -> Targets:
        """What the predictions of :meth:`forward` are to be, given the same batch's annotations."""
        return self.target_rule(self.grids(outputs), ground_truth, outputs.masks is not None)

    def losses_to_targets(
        self, outputs: HeadOutputs, targets: Targets, faces: Tensor
    ) -> dict[str, Tensor]:
        """See :meth:`losses`.

        Args:
            outputs: of :meth:`forward`.
            targets: of :meth:`targets`.
            faces: (F, 4), XYXY in pixels, that the targets were made from.
        """
        grids, matches = self.grids(outputs), targets.matches
        level_sizes = [len(grid) for grid in grids]

        def sum_levels(values: Tensor) -> Tensor:  # (N, R) -> (L,)
            return torch.stack([x.sum() for x in values.split(level_sizes, 1)])

        def count_levels(mask: Tensor) -> Tensor:  # (N, R) -> (L,)
            return torch.stack([x.count_nonzero() for x in mask.split(level_sizes, 1)])

        positive = matches.labels == POSITIVE  # (N, R)
        cls_losses, participating = self.classification_loss(
            flatten_logits(outputs), positive, participating=matches.labels != IGNORED
        )
        counts = [count_levels(positive), count_levels(participating)]
        if targets.masks is not None:
            counts.append(torch.stack([x.participating.count_nonzero() for x in targets.masks]))
        counts = mean_over_workers(torch.stack(counts).float())  # (2 or 3, L)
        cls_counts, box_counts = self.normalizer(counts[0], counts[1])

        faces = torch.cat((faces, faces.new_zeros(1, 4)))  # the last one is nobody's
        level_positive = positive.split(level_sizes, 1)
        level_owners = matches.faces.split(level_sizes, 1)
        box_sums = torch.stack(
            [
                level_box_loss(*level, faces, self.code_weights, self.smooth_l1_beta)
                for level in zip(outputs.deltas, grids, level_owners, level_positive, strict=True)
            ]
        )
        losses = {
            "loss_cls": normalized_sum(sum_levels(cls_losses), cls_counts),
            "loss_box_reg": normalized_sum(box_sums, box_counts) * self.box_reg_weight,
        }
        if targets.masks is not None:
            mask_sums = torch.stack(
                [
                    mask_loss(x.float(), *t)
                    for x, t in zip(outputs.masks, targets.masks, strict=True)
                ]
            )
            losses["loss_mask"] = normalized_sum(mask_sums, counts[2]) * self.mask_weight
        return {name + self.loss_suffix: loss * self.loss_weight for name, loss in losses.items()}

    def candidates(
        self, outputs: HeadOutputs, image_sizes: Tensor, num_candidates: int
    ) -> tuple[Tensor, Tensor]:
        """The highest-scoring boxes of each image, all levels together.

        Args:
            outputs: of :meth:`forward`.
            image_sizes: (N, 2), height and width of the images before padding.
            num_candidates: boxes per image, at most.

        Returns:
            Boxes (N, C, 4), XYXY in pixels, and their scores (N, C), descending; anchors in the
            padding of an image score 0. What comes of outputs that are not finite is NaN, and
            stands before all others.
        """
        grids = self.grids(outputs)
        logits, deltas = flatten_logits(outputs), flatten_deltas(outputs)
        scores = _unless_infinite(logits, logits.sigmoid()) * anchors_in_image(grids, image_sizes)
        scores, index = scores.topk(_at_most(num_candidates, scores.shape[1]), dim=1)  # (N, C)
        anchors = torch.cat([grid.boxes() for grid in grids])[index]  # (N, C, 4)
        deltas = deltas.gather(1, index[..., None].expand(-1, -1, 4))
        boxes = self.box2box_transform.apply_deltas(deltas.flatten(0, 1), anchors.flatten(0, 1))
        return _unless_infinite(deltas.sum(dim=-1, keepdim=True), boxes.view_as(deltas)), scores


def _check_names(in_features: Sequence[str], shapes: Mapping[str, ShapeSpec]) -> None:
    """Raise a ValueError if a backbone lacks maps that a shot reads."""
    missing = [name for name in in_features if name not in shapes]
    if missing:
        raise ValueError(
            f"IN_FEATURES of MODEL.SHOT or MODEL.FIRST_SHOT names {missing}, but the backbone "
            f"gives {sorted(shapes)}: name maps of the backbone there, or change the neck"
        )


def _build_box_transform(weights: Sequence[float]) -> Box2BoxTransform:
    """The box code of BBOX_REG_WEIGHTS, the factors of dx, dy, dw and dh."""
    if len(weights) != 4 or not all(weight > 0 for weight in weights):
        raise ValueError(
            "LOSS.BBOX_REG_WEIGHTS of MODEL.SHOT or MODEL.FIRST_SHOT must be four numbers above 0, "
            f"found {list(weights)}"
        )
    return Box2BoxTransform(weights=tuple(weights))


def _at_most(limit: int, count: int | Tensor) -> int | Tensor:
    # While a detector is traced its shapes are tensors, and have to stay so to fit other images.
    return count.clamp(max=limit) if isinstance(count, Tensor) else min(limit, count)


def _unless_infinite(outputs: Tensor, results: Tensor) -> Tensor:
    """Results, but NaN where the outputs that they were computed from are not finite.

    The sigmoid of an infinite logit is a score like any other, and sizes are decoded up to a limit:
    maps that overflow would be found out by nothing.
    """
    # An exported detector computes in single precision, with weights that are finite, and is to
    # consist of operators that every runtime has.
    if torch.jit.is_tracing():
        return results
    return results.masked_fill(~outputs.isfinite(), torch.nan)


def flatten_logits(outputs: HeadOutputs) -> Tensor:
    """Face logits (N, R) of all levels, float32."""
    logits = torch.cat([permute_to_N_HWA_K(x, 1) for x in outputs.logits], dim=1)
    return logits[..., 0].float()


def flatten_deltas(outputs: HeadOutputs) -> Tensor:
    """Box codes (N, R, 4) of all levels, float32."""
    return torch.cat([permute_to_N_HWA_K(x, 4) for x in outputs.deltas], dim=1).float()
