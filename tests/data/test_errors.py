"""Errors of data on their way from a loader's worker to the terminal."""

from __future__ import annotations

import pytest
from detectron2.data.detection_utils import SizeMismatchError
from PIL import Image
from torch.utils.data import DataLoader

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.errors import (
    AnnotationError,
    BrokenImageError,
    ImageError,
    ImageSizeError,
    MissingImageError,
)

CLASSES = [ImageError, MissingImageError, BrokenImageError, AnnotationError, ImageSizeError]


def test_errors_are_those_that_callers_know():
    for kind in (ImageError, MissingImageError, BrokenImageError):
        assert issubclass(kind, OSError)
    assert issubclass(MissingImageError, FileNotFoundError)
    assert issubclass(ImageSizeError, SizeMismatchError)
    for kind in (AnnotationError, ImageSizeError):
        assert issubclass(kind, ValueError)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_message_is_one_line(kind):
    assert str(kind("The image a: b is\n broken: restore it.")) == (
        "The image a: b is broken: restore it."
    )


class Records:
    """A data set whose every element is mapped."""

    def __init__(self, records: list[dict], is_train: bool):
        self.records = records
        self.mapper = FaceDatasetMapper(
            is_train=is_train,
            augmentations=[],
            image_format="RGB",
            invalid_faces="ignore",
            min_face_size=1.0,
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict:
        return self.mapper(self.records[index])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loader_tells_what_the_mapper_said(tmp_path, num_workers):
    Image.new("RGB", (200, 100)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[:-50])
    whole = {"file_name": str(tmp_path / "whole.jpg"), "annotations": []}
    half = {"file_name": str(tmp_path / "half.jpg"), "annotations": []}
    for record, is_train, kind, start, end in (
        (half, True, BrokenImageError, "The image {}/half.jpg cannot be read (", "leave it out."),
        (half, False, BrokenImageError, "The image {}/half.jpg cannot be read (", "leave it out."),
        (
            {**whole, "file_name": str(tmp_path / "no.jpg")},
            True,
            MissingImageError,
            "The image {}/no.jpg does not",
            "exist.",
        ),
        (
            {**whole, "height": 10, "width": 200},
            True,
            ImageSizeError,
            "The image {}/whole.jpg has 200 x 100 pixels,",
            "to this one.",
        ),
        (
            {"file_name": whole["file_name"]},
            True,
            AnnotationError,
            "{}/whole.jpg has no annotations",
            "DATASETS.TRAIN.",
        ),
    ):
        loader = DataLoader(
            Records([record], is_train), num_workers=num_workers, collate_fn=lambda batch: batch
        )
        with pytest.raises(kind) as caught:
            next(iter(loader))
        message = str(caught.value)
        assert message.startswith(start.format(tmp_path)) and message.endswith(end)
        assert "\n" not in message and "Traceback" not in message
