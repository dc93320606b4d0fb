"""Dataset dict → what the detector reads: an image and, in training, its faces."""

from __future__ import annotations

import logging
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T
from detectron2.structures import Boxes, BoxMode, Instances
from torch.utils.data import get_worker_info

from df2s2_d2.data.augmentation import (
    DeferredAugmentations,
    DeferredInput,
    build_augmentations,
    centres_inside,
    sizes_inside,
)
from df2s2_d2.data.broken_images import PassedOver
from df2s2_d2.data.errors import AnnotationError, BrokenImageError
from df2s2_d2.data.image_file import ImageFile
from df2s2_d2.data.image_reading import read_image
from df2s2_d2.data.image_size import check_image_size

logger = logging.getLogger(__name__)

_IMAGE_FORMATS = ("BGR", "RGB")
_INVALID_FACES = ("ignore", "face", "drop")
_SMALL_FACES = ("ignore", "drop")


class FaceDatasetMapper:
    """Read an image, augment it together with its boxes, and make tensors of both.

    After the augmentations a face is kept if its centre is inside the image; it is clipped, and
    not trained on if a side is then shorter than ``min_face_size`` or shows less than
    ``min_original_face_size`` pixels of the image as it was before. So boxes are never degenerate,
    which matching relies on. A face whose centre was cropped away is background, as in FAN.
    Regions to be ignored are clipped and kept as far as they show.

    In training the augmentations come before the pixels: crops, resize and mirrorings are chosen
    by the size of the image and its faces, and only what they leave is decoded, resized once and
    distorted. In testing images are read whole, as detectron2 reads them.
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
        small_faces: str = "drop",
        reduced_decoding: bool = True,
        skip_broken_images: bool = False,
    ) -> None:
        """
        Args:
            is_train: whether boxes are needed, or images only.
            augmentations: applied in this order; they see the faces as boxes.
            image_format: order of the channels, "BGR" or "RGB".
            invalid_faces: what boxes marked ``iscrowd`` are: "ignore" = regions that stay out of
                the loss, "face", or "drop" = background.
            min_face_size: pixels of the augmented image.
            min_original_face_size: pixels of the image that was read.
            small_faces: what faces below these two sizes are: "ignore" = regions that stay out of
                the loss, as far as they show, or "drop" = background.
            reduced_decoding: whether training images may be decoded at a reduced size, see
                :class:`~df2s2_d2.data.image_file.ImageFile`.
            skip_broken_images: whether a training image that cannot be decoded gives None, for
                which the loader takes another one, instead of an error; the next sample tells of
                it, see :class:`~df2s2_d2.data.broken_images.BrokenImageCount`.

        Raises:
            ValueError: if ``image_format``, ``invalid_faces`` or ``small_faces`` is none of these.
        """
        if image_format not in _IMAGE_FORMATS:
            raise ValueError(f"INPUT.FORMAT: expected BGR or RGB; found {image_format!r}.")
        if invalid_faces not in _INVALID_FACES:
            raise ValueError(
                f"DATASETS.INVALID_FACES: expected one of {', '.join(_INVALID_FACES)}; "
                f"found {invalid_faces!r}."
            )
        if small_faces not in _SMALL_FACES:
            raise ValueError(
                f"INPUT.SMALL_FACES: expected one of {', '.join(_SMALL_FACES)}; "
                f"found {small_faces!r}."
            )
        self.is_train = is_train
        self.augmentations = DeferredAugmentations(augmentations)
        self.image_format = image_format
        self.invalid_faces = invalid_faces
        self.min_face_size = min_face_size
        self.min_original_face_size = min_original_face_size
        self.small_faces = small_faces
        self.reduced_decoding = reduced_decoding
        self.skip_broken_images = skip_broken_images
        self._passed_over = PassedOver()
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
            "small_faces": cfg.INPUT.SMALL_FACES,
            "reduced_decoding": cfg.INPUT.REDUCED_DECODING,
            "skip_broken_images": cfg.DATALOADER.SKIP_BROKEN_IMAGES,
        }

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any] | None:
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

            None for a training image that is passed over.

        Raises:
            ImageError: if the image cannot be read; names it.
            ImageSizeError: if the image has another size than the dict says, either way round.
            AnnotationError: if annotations are needed and there are none.
        """
        if get_worker_info() is not None:
            cv2.setNumThreads(0)  # Workers share the cores already; torch sees to its own threads.
        record = {key: value for key, value in dataset_dict.items() if key != "annotations"}
        if not self.is_train:
            return self._map_test_image(record)
        if "annotations" not in dataset_dict:
            raise AnnotationError(
                f"{record['file_name']} has no annotations: its data set is for testing, "
                "take it out of DATASETS.TRAIN."
            )
        try:
            sample = self._map_training_image(record, dataset_dict["annotations"])
        except BrokenImageError as error:
            if not self.skip_broken_images:
                raise
            self._passed_over.add(record["file_name"], error)
            return None
        self._passed_over.tell(sample)
        return sample

    def _map_test_image(self, record: dict[str, Any]) -> dict[str, Any]:
        image = read_image(record["file_name"], self.image_format)
        check_image_size(record, image.shape[:2])
        inputs = T.AugInput(image)
        self.augmentations(inputs)
        record["image"] = _to_tensor(inputs.image)
        return record

    def _map_training_image(
        self, record: dict[str, Any], annotations: list[dict[str, Any]]
    ) -> dict[str, Any]:
        file = ImageFile(record["file_name"], self.image_format, self.reduced_decoding)
        check_image_size(record, file.size)
        faces, regions = self.split(annotations, file.size)
        inputs = DeferredInput(file, boxes=faces)
        faces, regions = self.augment(inputs, regions)
        image = inputs.read_pixels()

        record["image"] = _to_tensor(image)
        record["instances"] = Instances(
            image.shape[:2],
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

    def augment(
        self, inputs: T.AugInput | DeferredInput, regions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
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
        faces, small_faces = self._split_by_size(originals, inputs.boxes, image_size)
        regions = _clip(transforms.apply_box(regions), image_size)
        if self.small_faces == "ignore":
            regions = np.concatenate([regions, small_faces])
        return faces, regions

    def _split_by_size(
        self, originals: np.ndarray, boxes: np.ndarray, image_size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Clipped faces whose centre is in the image: those to be trained on, and smaller ones."""
        height, width = image_size
        window = np.array([[0, 0, width, height]])
        shown = sizes_inside(boxes, window)[0]
        # Shown pixels of the original image = shown x original size / size, without dividing by 0.
        large_enough = (
            shown * _sizes(originals) >= self.min_original_face_size * _sizes(boxes)
        ) & (shown >= self.min_face_size)
        large_enough = large_enough.all(axis=1)
        kept = centres_inside(boxes, window)[0]
        return (
            _clip(boxes[kept & large_enough], image_size),
            _clip(boxes[kept & ~large_enough], image_size),
        )


def _sizes(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2:] - boxes[:, :2]


def _clip(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Clip corners (N, 4) to an image; boxes of which nothing is left are dropped."""
    height, width = image_size
    boxes = boxes.clip(0, (width, height, width, height))
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    # A copy: Pillow's arrays are read-only and mirrored ones have negative strides.
    planes = np.empty((image.shape[2], *image.shape[:2]), dtype=image.dtype)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)
