"""An engine behind the interface of a detectron2 model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from df2s2_d2.inference.image_batches import batches
from df2s2_d2.inference.runtimes.engines import Engine
from df2s2_d2.modeling.postprocessing import Detections, resize_detections, to_instances


class EngineDetector(nn.Module):
    """A detector that an engine computes, with the interface of the detector that was exported.

    Args:
        engine: runs it, up to NMS.
        score_threshold: only higher scores are given; those below the file's own are lost in it.
        max_detections: per image, highest scores first.
        round_boxes_outward: see :func:`~df2s2_d2.modeling.boxes.round_outward`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        score_threshold: float,
        max_detections: int,
        round_boxes_outward: bool,
    ):
        super().__init__()
        self.engine = engine
        self.score_threshold = score_threshold
        self.max_detections = max_detections
        self.round_boxes_outward = round_boxes_outward
        self.eval()

    @torch.no_grad()
    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """
        Args:
            batched_inputs: one dict per image with ``image``, a (3, H, W) uint8 tensor, and
                optionally ``height`` and ``width`` of the wanted output.

        Returns:
            For each image a dict with ``instances``, by descending score: ``pred_boxes``,
            ``scores`` and ``pred_classes`` in the wanted output's pixels.

        Raises:
            FloatingPointError: if a box or a score is not finite.
        """
        images = [inputs["image"] for inputs in batched_inputs]
        sizes = [tuple(image.shape[1:]) for image in images]
        outputs: list[dict] = [{} for _ in images]
        # The engine pads no image for the sake of another.
        for group in batches(sizes, max_images=len(sizes), max_pixels=sum(map(_area, sizes))):
            found = self._detect(torch.stack([images[index] for index in group]))
            height, width = sizes[group[0]]
            wanted = [
                (batched_inputs[i].get("height", height), batched_inputs[i].get("width", width))
                for i in group
            ]
            found = resize_detections(
                found,
                torch.tensor([sizes[group[0]]] * len(group)),
                torch.tensor(wanted),
                self.round_boxes_outward,
            )
            for index, instances in zip(group, to_instances(found, wanted), strict=True):
                outputs[index] = {"instances": instances[: self.max_detections]}
        return outputs

    def _detect(self, images: Tensor) -> Detections:
        """Detections in (N, 3, H, W) uint8 images, in their pixels."""
        found = Detections(*map(torch.as_tensor, self.engine.run(images.numpy())))
        if not (found.boxes.isfinite().all() and found.scores.isfinite().all()):
            raise FloatingPointError(
                "the exported detector gives boxes or scores that are not finite: export it again "
                "from sound weights"
            )
        return found.select(found.scores > self.score_threshold)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
