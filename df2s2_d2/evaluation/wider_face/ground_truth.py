"""Ground truth of the WIDER FACE benchmark: faces, and which of them each setting asks for."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from df2s2_d2.formats.rows_by_image import concatenate_rows
from df2s2_d2.formats.wider_face_mat import flatten_cells, load_cells, text_of, whole_numbers

SETTINGS = ("easy", "medium", "hard")

# Pixels. The official lists come from how easily object proposals find a face, not from a rule on
# size; these heights are the first percentile of the faces in each.
MINIMUM_HEIGHTS = {"easy": 50.0, "medium": 30.0, "hard": 10.0}


@dataclass(frozen=True)
class GroundTruth:
    """Annotated faces of a set of images and, for each setting, which of them are to be found.

    Attributes:
        images: names ``"<event>/<image stem>"`` of the I images, faceless ones included.
        image_index: (M,) int64, for each face the position of its image in `images`.
        boxes: (M, 4) float64 ``x, y, width, height`` in pixels of the original image.
        kept: setting name -> (M,) bool. A face that is not kept is *ignored*: finding it is neither
            rewarded nor punished.
    """

    images: tuple[str, ...]
    image_index: np.ndarray
    boxes: np.ndarray
    kept: dict[str, np.ndarray]

    @classmethod
    def from_annotations(
        cls,
        boxes: Mapping[str, np.ndarray],
        kept: Mapping[str, Mapping[str, np.ndarray]],
    ) -> GroundTruth:
        """Build the ground truth of one's own images from boxes and explicit masks.

        Args:
            boxes: ``"<event>/<image stem>"`` -> (n, 4) ``x, y, width, height`` in pixels.
            kept: setting name -> image name -> (n,) bool, True for the faces to be found. An image
                left out of a setting keeps none of its faces there.

        Raises:
            ValueError: if boxes are not finite (n, 4) arrays or a mask does not fit its boxes.
        """
        image_index, table = concatenate_rows(boxes.items(), 4)
        num_faces = np.bincount(image_index, minlength=len(boxes)).tolist()
        masks = {
            setting: _concatenate_masks(by_image, boxes, num_faces, setting)
            for setting, by_image in kept.items()
        }
        return cls(tuple(boxes), image_index, table, masks)

    @classmethod
    def from_heights(
        cls,
        boxes: Mapping[str, np.ndarray],
        minimum_heights: Mapping[str, float] = MINIMUM_HEIGHTS,
        ignored: Mapping[str, np.ndarray] | None = None,
    ) -> GroundTruth:
        """Build the ground truth of one's own images with settings defined by the faces' heights.

        Args:
            boxes: ``"<event>/<image stem>"`` -> (n, 4) ``x, y, width, height`` in pixels.
            minimum_heights: setting name -> height in pixels from which a face is kept.
            ignored: image name -> (n,) bool, True for faces to be ignored in every setting, such
                as those annotated as invalid.

        Raises:
            ValueError: if boxes are not finite (n, 4) arrays or a mask does not fit its boxes.
        """
        image_index, table = concatenate_rows(boxes.items(), 4)
        num_faces = np.bincount(image_index, minlength=len(boxes)).tolist()
        valid = ~_concatenate_masks(ignored or {}, boxes, num_faces, "ignored")
        kept = {
            setting: (table[:, 3] >= height) & valid for setting, height in minimum_heights.items()
        }
        return cls(tuple(boxes), image_index, table, kept)


def load_ground_truth(directory: str | os.PathLike) -> GroundTruth:
    """Read the official ground truth of the validation images.

    Args:
        directory: ``eval_tools/ground_truth`` of the official tools, with ``wider_face_val.mat``
            and ``wider_{easy,medium,hard}_val.mat``.

    Raises:
        FileNotFoundError: if one of the files is missing.
        ValueError: if a file is not what it should be.
    """
    directory = Path(directory)
    path = directory / "wider_face_val.mat"
    events, files, boxes = load_cells(path, "event_list", "file_list", "face_bbx_list")
    if len(events) != len(files):
        raise ValueError(
            f"{path}: {len(events)} events but {len(files)} lists of files; "
            "fetch the official file again"
        )
    names = flatten_cells(files, f"{path}, file_list")
    sizes = [event.size for event in files]
    images = tuple(
        f"{text_of(event, f'{path}, event_list')}/{text_of(name, f'{path}, file_list')}"
        for event, name in zip(np.repeat(events, sizes), names, strict=True)
    )
    if len(set(images)) != len(images):
        raise ValueError(f"{path} names an image twice; fetch the official file again")
    boxes_per_image = flatten_cells(boxes, f"{path}, face_bbx_list")
    if len(boxes_per_image) != len(images):
        raise ValueError(
            f"{path}: {len(images)} images but {len(boxes_per_image)} lists of boxes; "
            "fetch the official file again"
        )
    try:
        image_index, table = concatenate_rows(zip(images, boxes_per_image, strict=True), 4)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; fetch the official file again") from error
    num_faces = np.bincount(image_index, minlength=len(images))
    kept = {}
    for setting in SETTINGS:
        path = directory / f"wider_{setting}_val.mat"
        (lists,) = load_cells(path, "gt_list")
        kept[setting] = _kept_mask(flatten_cells(lists, f"{path}, gt_list"), num_faces, path)
    return GroundTruth(images, image_index, table, kept)


def _kept_mask(lists: list[np.ndarray], num_faces: np.ndarray, path: Path) -> np.ndarray:
    """1-based indices of kept faces, one list an image -> (M,) bool over all faces."""
    if len(lists) != len(num_faces):
        raise ValueError(
            f"{path}: lists for {len(lists)} images, but wider_face_val.mat has {len(num_faces)}; "
            "all four files must be of one release"
        )
    lengths = [np.size(one) for one in lists]
    index = whole_numbers(lists, f"{path}, gt_list")
    if (index < 1).any() or (index > np.repeat(num_faces, lengths)).any():
        raise ValueError(
            f"{path}: a kept face has an index beyond the faces of its image; "
            "all four files must be of one release"
        )
    mask = np.zeros(num_faces.sum(), bool)
    mask[np.repeat(np.cumsum(num_faces) - num_faces, lengths) + index - 1] = True
    return mask


def _concatenate_masks(
    masks: Mapping[str, np.ndarray], images: Collection[str], num_faces: list[int], name: str
) -> np.ndarray:
    """(M,) bool from one mask an image, False where an image has none."""
    unknown = sorted(masks.keys() - set(images))
    if unknown:
        raise ValueError(f"the mask '{name}' names {unknown[0]}, which is not among the boxes")
    joined = [np.zeros(0, bool)]
    for image, length in zip(images, num_faces, strict=True):
        mask = np.asarray(masks.get(image, np.zeros(length, bool)))
        if mask.shape != (length,) or (length and mask.dtype != bool):
            raise ValueError(
                f"{image}: the mask '{name}' must be boolean of shape ({length},), a value a box; "
                f"got {mask.dtype} of shape {mask.shape}"
            )
        joined.append(mask.astype(bool))
    return np.concatenate(joined)
