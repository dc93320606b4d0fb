"""The annotations of a batch, as the few tensors that matching and masks work on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from df2s2_d2.modeling.boxes import nonempty
from df2s2_d2.modeling.host_sync import to_device


@dataclass(frozen=True)
class GroundTruth:
    """Faces and regions of all images of a batch in one list each.

    Attributes:
        faces: (F, 4) float32, XYXY in pixels of the padded batch's images.
        face_images: (F,) int64, the image each face is in.
        regions: (G, 4) float32, regions that are neither face nor background.
        region_images: (G,) int64, the image each region is in.
        image_sizes: (N, 2) int64, height and width of the images before padding.
    """

    faces: Tensor
    face_images: Tensor
    regions: Tensor
    region_images: Tensor
    image_sizes: Tensor

    @classmethod
    def from_batch(
        cls,
        batched_inputs: list[dict],
        image_sizes: list[tuple[int, int]],
        device: torch.device,
    ) -> GroundTruth:
        """Collect the annotations of mapped images and bring them to ``device`` without waiting.

        Args:
            batched_inputs: dicts with ``instances`` (field ``gt_boxes``) and, if there are any,
                ``ignore_regions``, a (G, 4) tensor.
            image_sizes: (height, width) of each image before padding.
            device: where the model is.
        """
        faces = [inputs["instances"].gt_boxes.tensor for inputs in batched_inputs]
        regions = [inputs.get("ignore_regions", torch.zeros(0, 4)) for inputs in batched_inputs]
        # A box without an area has no overlap with any anchor and would have no best one.
        faces, regions = ([box[nonempty(box)] for box in boxes] for boxes in (faces, regions))
        return cls(
            *(
                to_device(tensor, device)
                for tensor in (
                    *_concatenate(faces),
                    *_concatenate(regions),
                    torch.tensor(image_sizes),
                )
            )
        )

    def with_spare_boxes(self) -> GroundTruth:
        """The same with two boxes without an area at the end of each list; they change no target.

        torch.compile takes lengths of 0 and 1 for constants, and would compile a step anew for
        batches without or with a single face or region.
        """
        boxes, images = self.faces.new_zeros(2, 4), self.face_images.new_zeros(2)
        return GroundTruth(
            torch.cat((self.faces, boxes)),
            torch.cat((self.face_images, images)),
            torch.cat((self.regions, boxes)),
            torch.cat((self.region_images, images)),
            self.image_sizes,
        )


def _concatenate(boxes_per_image: list[Tensor]) -> tuple[Tensor, Tensor]:
    counts = torch.tensor([len(boxes) for boxes in boxes_per_image])
    images = torch.arange(len(boxes_per_image)).repeat_interleave(counts)
    return torch.cat(boxes_per_image).float(), images
