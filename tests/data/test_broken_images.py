"""Broken training images that are passed over and counted."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from df2s2_d2 import load_config
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.broken_images import BrokenImageCount
from df2s2_d2.data.errors import BrokenImageError, MissingImageError


@pytest.fixture
def records(tmp_path):
    """Four images, the second and the last of which are broken: one in its pixels, one wholly."""
    records = []
    for index in range(4):
        path = tmp_path / f"{index}.jpg"
        noise = np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        records.append({"file_name": str(path), "image_id": index, "annotations": []})
    cut = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "3.jpg").write_bytes(b"no image")
    return records


def make_mapper(skip: bool, is_train: bool = True) -> FaceDatasetMapper:
    cfg = load_config(overrides=["DATALOADER.SKIP_BROKEN_IMAGES", skip, "INPUT.CROP.ENABLED", True])
    return FaceDatasetMapper(cfg, is_train=is_train)


def test_a_broken_image_is_an_error_unless_asked_otherwise(records):
    assert load_config().DATALOADER.SKIP_BROKEN_IMAGES is False
    for index in (1, 3):
        with pytest.raises(BrokenImageError, match=rf"{index}\.jpg cannot be read"):
            make_mapper(skip=False)(records[index])


def test_a_broken_test_image_is_always_an_error(records):
    for index in (1, 3):
        with pytest.raises(BrokenImageError, match=rf"{index}\.jpg cannot be read"):
            make_mapper(skip=True, is_train=False)(records[index])


def test_what_is_not_broken_is_never_passed_over(records, tmp_path):
    mapper = make_mapper(skip=True)
    with pytest.raises(MissingImageError):
        mapper({**records[0], "file_name": str(tmp_path / "absent.jpg")})
    with pytest.raises(ValueError, match="put back the image that was annotated"):
        mapper({**records[0], "height": 1, "width": 1})


def test_the_next_sample_tells_of_all_that_were_passed_over(records, caplog):
    mapper = make_mapper(skip=True)
    samples = [mapper(records[i]) for i in (0, 1, 3, 2, 1, 0, 2)]
    assert [sample and sample["image_id"] for sample in samples] == [0, None, None, 2, None, 0, 2]
    count = BrokenImageCount()
    with caplog.at_level(logging.WARNING):
        assert count.note([samples[0]]) == 0
        assert count.note([samples[3], samples[5]]) == 3
        assert count.note([samples[6]]) == 0
    assert count.total == 3
    assert count.files == {records[1]["file_name"], records[3]["file_name"]}
    # Once for each file, with what is wrong with it.
    cut, empty = [record.getMessage() for record in caplog.records]
    assert cut.startswith(f"Passed over in training: The image {records[1]['file_name']} cannot")
    assert empty.startswith(f"Passed over in training: The image {records[3]['file_name']} cannot")
    assert "truncated" in cut and "in no format that Pillow knows" in empty
    # The model does not get what it has no use for.
    assert all("broken_images" not in sample for sample in samples if sample)


class Replacing(Dataset):
    """The images of a loader that takes another image where a mapper gives None."""

    def __init__(self, records: list[dict], mapper: FaceDatasetMapper):
        self.records = records
        self.mapper = mapper

    def __getitem__(self, index: int) -> dict:
        sample = self.mapper(self.records[index])
        return sample or self[(index + 1) % len(self.records)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_tell_what_they_passed_over(records, num_workers):
    loader = DataLoader(
        Replacing(records, make_mapper(skip=True)),
        batch_size=2,
        sampler=[0, 1, 2, 3] * 4,
        num_workers=num_workers,
        collate_fn=lambda batch: batch,
    )
    count = BrokenImageCount()
    counts = [count.note(batch) for batch in loader]
    # One of the two images of every batch is broken.
    assert counts == [1] * 8 and count.total == 8
    assert count.files == {records[1]["file_name"], records[3]["file_name"]}
