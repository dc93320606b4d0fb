"""Dataset dict → what the detector reads: an image and, in training, its faces."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T
from detectron2.structures import Boxes, BoxMode, Instances

from df2s2_d2.data.augmentation import build_augmentations, centres_inside, sizes_inside
from df2s2_d2.data.image_reading import read_image
from df2s2_d2.data.image_size import check_image_size

logger = logging.getLogger(__name__)

_INVALID_FACES = ("ignore", "face", "drop")


class FaceDatasetMapper:
    """Read an image, augment it together with its boxes, and make tensors of both.

    After the augmentations a face is kept if its centre is inside the image; it is clipped, and
    dropped if a side is then shorter than ``min_face_size`` or shows less than
    ``min_original_face_size`` pixels of the image as it was before. So boxes are never degenerate,
    which matching relies on. A face whose centre was cropped away is background, as in FAN.
    Regions to be ignored are clipped and kept as far as they show.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: list[T.Augmentation | T.Transform],
        image_format: str,
        invalid_faces: str,
        min_face_size: float,
        min_original_face_size: float = 0.0,
    ) -> None:
        """
        Args:
            is_train: whether boxes are needed, or images only.
            augmentations: applied in this order; they see the faces as boxes.
            image_format: order of the channels, e.g. "BGR".
            invalid_faces: what boxes marked ``iscrowd`` are: "ignore" = regions that stay out of
                the loss, "face", or "drop" = background.
            min_face_size: pixels of the augmented image.
            min_original_face_size: pixels of the image that was read.

        Raises:
            ValueError: if ``invalid_faces`` is none of these.
        """
        if invalid_faces not in _INVALID_FACES:
            raise ValueError(
                f"DATASETS.INVALID_FACES: expected one of {', '.join(_INVALID_FACES)}; "
                f"found {invalid_faces!r}."
            )
        self.is_train = is_train
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.invalid_faces = invalid_faces
        self.min_face_size = min_face_size
        self.min_original_face_size = min_original_face_size
        mode = "training" if is_train else "inference"
        logger.info("Augmentations used in %s: %s", mode, self.augmentations)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Arguments of the constructor from the keys of ``add_df2s2_config``."""
        return {
            "is_train": is_train,
            "augmentations": build_augmentations(cfg, is_train),
            "image_format": cfg.INPUT.FORMAT,
            "invalid_faces": cfg.DATASETS.INVALID_FACES,
            "min_face_size": cfg.INPUT.MIN_FACE_SIZE,
            "min_original_face_size": cfg.INPUT.MIN_ORIGINAL_FACE_SIZE,
        }

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Map one image.

        Args:
            dataset_dict: detectron2's standard format; it is not changed.

        Returns:
            The dict's entries but its annotations, and

            - ``image``: (3, H, W) uint8 after augmentation;
            - ``height``, ``width``: of the original image after EXIF rotation;
            - ``instances``, in training: the faces, ``gt_boxes`` in pixels of ``image`` and
              ``gt_classes`` (all 0);
            - ``ignore_regions``, in training: (G, 4) float32 corners in pixels of ``image``.

        Raises:
            OSError: if the image cannot be read; names it.
            SizeMismatchError: if the image has another size than the dict says, either way round.
            ValueError: if annotations are needed and there are none.
        """
        record = {key: value for key, value in dataset_dict.items() if key != "annotations"}
        image = read_image(record["file_name"], self.image_format)
        check_image_size(record, image)

        if not self.is_train:
            inputs = T.AugInput(image)
            self.augmentations(inputs)
            record["image"] = _to_tensor(inputs.image)
            return record

        if "annotations" not in dataset_dict:
            raise ValueError(
                f"{record['file_name']} has no annotations: its data set is for testing, "
                "take it out of DATASETS.TRAIN."
            )
        faces, regions = self.split(dataset_dict["annotations"], image.shape[:2])
        inputs = T.AugInput(image, boxes=faces)
        faces, regions = self.augment(inputs, regions)
        image_size = inputs.image.shape[:2]

        record["image"] = _to_tensor(inputs.image)
        record["instances"] = Instances(
            image_size,
            gt_boxes=Boxes(torch.as_tensor(faces, dtype=torch.float32)),
            gt_classes=torch.zeros(len(faces), dtype=torch.int64),
        )
        record["ignore_regions"] = torch.as_tensor(regions, dtype=torch.float32)
        return record

    def split(
        self, annotations: list[dict[str, Any]], image_size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tell faces from regions to be ignored.

        Args:
            annotations: of one image, in detectron2's standard format.
            image_size: height and width of the image.

        Returns:
            Faces (N, 4) and regions (G, 4), float32 corners in pixels, clipped to the image.
        """
        boxes = np.array([annotation["bbox"] for annotation in annotations], dtype=np.float32)
        boxes = boxes.reshape(-1, 4)
        modes = np.array([annotation["bbox_mode"] for annotation in annotations])
        for mode in np.unique(modes):
            boxes[modes == mode] = BoxMode.convert(
                boxes[modes == mode], BoxMode(mode), BoxMode.XYXY_ABS
            )
        invalid = np.array([annotation.get("iscrowd", 0) for annotation in annotations], dtype=bool)
        if self.invalid_faces == "face":
            invalid[:] = False
        faces, regions = _clip(boxes[~invalid], image_size), _clip(boxes[invalid], image_size)
        return faces, regions if self.invalid_faces == "ignore" else regions[:0]

    def augment(self, inputs: T.AugInput, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply the augmentations, and keep the faces to be trained on.

        Args:
            inputs: image and faces; changed in place.
            regions: (G, 4) to be ignored.

        Returns:
            Faces and regions, corners in pixels of the augmented image.
        """
        originals = inputs.boxes
        transforms = self.augmentations(inputs)
        image_size = inputs.image.shape[:2]
        faces = self._keep_faces(originals, inputs.boxes, image_size)
        return faces, _clip(transforms.apply_box(regions), image_size)

    def _keep_faces(
        self, originals: np.ndarray, boxes: np.ndarray, image_size: tuple[int, int]
    ) -> np.ndarray:
        height, width = image_size
        window = np.array([[0, 0, width, height]])
        shown = sizes_inside(boxes, window)[0]
        # Shown pixels of the original image = shown x original size / size, without dividing by 0.
        large_enough = (
            shown * _sizes(originals) >= self.min_original_face_size * _sizes(boxes)
        ) & (shown >= self.min_face_size)
        kept = centres_inside(boxes, window)[0] & large_enough.all(axis=1)
        return _clip(boxes[kept], image_size)


def _sizes(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2:] - boxes[:, :2]


def _clip(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Clip corners (N, 4) to an image; boxes of which nothing is left are dropped."""
    height, width = image_size
    boxes = boxes.clip(0, (width, height, width, height))
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    # A copy: Pillow's arrays are read-only and mirrored ones have negative strides.
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
