"""Mosaics of four training images."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from PIL import Image

from df2s2_d2.config import load_config
from df2s2_d2.data import FaceDatasetMapper, build_mosaic, build_train_loader
from df2s2_d2.data.broken_images import BrokenImageCount
from df2s2_d2.data.mosaic import Mosaic
from df2s2_d2.data.seeding import seeded_random
from df2s2_d2.modeling.targets import GroundTruth

SIDE = 32


def annotation(bbox: list[float], iscrowd: int = 0) -> dict:
    return {"bbox": bbox, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": iscrowd}


@pytest.fixture
def records(tmp_path):
    """Six images of 64 x 64 pixels, each of one grey, with a face and a region of their own."""
    records = []
    for index in range(6):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.full((64, 64, 3), 40 * index, dtype=np.uint8)).save(path)
        face = [4 * index, 8, 4 * index + 16, 32]
        annotations = [annotation(face), annotation([40, 40, 80, 64], iscrowd=1)]
        records.append({"file_name": str(path), "image_id": f"e/{index}"})
        records[-1]["annotations"] = annotations if index else []
    return records


@pytest.fixture
def cfg(records):
    DatasetCatalog.register("mosaic_images", lambda: records)
    cfg = load_config()
    cfg.DATASETS.TRAIN = ("mosaic_images",)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.SEED = 5
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.INPUT.RESIZE_SQUARE_TRAIN = SIDE
    cfg.INPUT.MOSAIC.PROBABILITY = 1.0
    yield cfg
    DatasetCatalog.remove("mosaic_images")
    if "mosaic_images" in MetadataCatalog.list():
        MetadataCatalog.remove("mosaic_images")


def samples(cfg, count: int, first: int = 0) -> list[dict]:
    loader = build_train_loader(cfg, FaceDatasetMapper(cfg, is_train=True), build_mosaic(cfg))
    loader.batch_sampler.first_batch = first
    return [sample for batch in islice(loader, count) for sample in batch]


def image_numbers(sample: dict) -> list[int]:
    return [int(name[-5]) for name in sample["file_name"].split(", ")]


def test_quarters_show_their_images_and_boxes_to_the_pixel(cfg):
    seen = set()
    for sample in samples(cfg, 10):
        numbers = image_numbers(sample)
        seen.update(numbers)
        quarters = np.array(numbers, dtype=np.uint8).reshape(2, 2) * 40
        expected = quarters.repeat(16, axis=0).repeat(16, axis=1)
        assert sample["image"].shape == (3, SIDE, SIDE) and sample["image"].is_contiguous()
        for channel in sample["image"].numpy():
            np.testing.assert_array_equal(channel, expected)
        corners = [(0, 0), (16, 0), (0, 16), (16, 16)]
        shown = [pair for pair in zip(numbers, corners, strict=True) if pair[0]]
        # A quarter shows its image at a quarter of the size.
        assert sample["instances"].gt_boxes.tensor.tolist() == [
            [x + i, y + 2, x + i + 4, y + 8] for i, (x, y) in shown
        ]
        assert sample["instances"].gt_classes.tolist() == [0] * len(shown)
        assert sample["instances"].image_size == (SIDE, SIDE)
        # Regions end at the seam.
        assert sample["ignore_regions"].tolist() == [
            [x + 10, y + 10, x + 16, y + 16] for _, (x, y) in shown
        ]
        assert (sample["height"], sample["width"]) == (SIDE, SIDE)
    assert seen == set(range(6))


def test_small_faces_of_quarters_are_left_out_of_the_loss(cfg):
    cfg.INPUT.MIN_FACE_SIZE, cfg.INPUT.SMALL_FACES = 5.0, "ignore"
    for sample in samples(cfg, 3):
        num_shown = np.count_nonzero(image_numbers(sample))
        assert len(sample["instances"]) == 0 and len(sample["ignore_regions"]) == 2 * num_shown


def test_quarters_are_augmented_each_by_itself(cfg):
    cfg.INPUT.RANDOM_FLIP = "horizontal"
    mirrored = set()
    for sample in samples(cfg, 20):
        boxes, shown = sample["instances"].gt_boxes.tensor, np.flatnonzero(image_numbers(sample))
        starts = boxes[:, 0] - torch.from_numpy(shown % 2 * 16)
        numbers = [image_numbers(sample)[place] for place in shown]
        mirrored.add(tuple(x != i for x, i in zip(starts.tolist(), numbers, strict=True)))
    assert any(len(set(quarters)) == 2 for quarters in mirrored)


def test_mosaics_depend_on_neither_workers_nor_the_start(cfg):
    cfg.INPUT.MOSAIC.PROBABILITY = 0.5

    def drawn(count: int, first: int = 0) -> list[tuple]:
        return [(x["file_name"], x["image"].sum().item()) for x in samples(cfg, count, first)]

    whole = drawn(8)
    assert {name.count(", ") for name, _ in whole} == {0, 3}
    assert drawn(3, first=5) == whole[10:]
    cfg.DATALOADER.NUM_WORKERS = 2
    assert drawn(4, first=4) == whole[8:]


def test_images_join_in_proportion_to_how_often_they_are_shown(cfg):
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    cfg.DATASETS.TRAIN_EVENT_FACTOR = [["e", 0.0], ["f", 3.0]]
    for index, record in enumerate(DatasetCatalog.get("mosaic_images")):
        record["image_id"] = f"{'eegggf'[index]}/{index}"
    counts = np.bincount([n for x in samples(cfg, 100) for n in image_numbers(x)], minlength=6)
    assert counts[:2].tolist() == [0, 0]
    # Shares of 1, 1, 1 and 3 sixths of 800 draws, with deviations of 11 and 14.
    assert counts[2:].tolist() == pytest.approx([133, 133, 133, 400], abs=50)


def test_broken_images_are_replaced_and_counted(cfg, records, tmp_path):
    (tmp_path / "2.png").write_bytes(b"no image")
    cfg.DATALOADER.SKIP_BROKEN_IMAGES = True
    # Images that are never shown do not take the place of others either.
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    cfg.DATASETS.TRAIN_EVENT_FACTOR = [["never", 0.0]]
    records[1]["image_id"] = "never/1"
    count, batch = BrokenImageCount(), samples(cfg, 10)
    assert count.note(batch) > 3
    assert count.files == {str(tmp_path / "2.png")}
    assert {n for sample in batch for n in image_numbers(sample)} == {0, 3, 4, 5}


def test_mosaics_are_off_unless_asked_for_and_leave_draws_alone(cfg):
    assert load_config().INPUT.MOSAIC.PROBABILITY == 0
    cfg.INPUT.MOSAIC.PROBABILITY = 0.0
    assert build_mosaic(cfg) is None

    def draw(image: dict) -> float:
        return np.random.uniform()

    (first,) = next(iter(build_train_loader(cfg, draw, build_mosaic(cfg))))[:1]
    with seeded_random(5, 0):
        assert first == np.random.uniform()


def test_windows_of_quarters_are_filled_by_neither_a_face_nor_the_border(cfg):
    cfg.INPUT.RANDOM_WINDOW.ENABLED = True
    cfg.INPUT.RANDOM_WINDOW.FACE_SIZES = [7.0, 320.0]
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 256
    window = build_mosaic(cfg).mapper.augmentations.augs[0]
    assert window.output_size == 128
    assert window.face_sizes == pytest.approx((7.0, 110.08)) and window.scale_range == (0.3, 1.2)
    assert cfg.INPUT.RANDOM_WINDOW.FACE_SIZES == [7.0, 320.0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["INPUT.MOSAIC.PROBABILITY", 1.5], "MOSAIC.PROBABILITY: expected 0 to 1; found 1.5"),
        (["INPUT.RESIZE_SQUARE_TRAIN", 33], "an even INPUT.RESIZE_SQUARE_TRAIN.*found 33"),
        (["INPUT.RESIZE_SQUARE_TRAIN", 0], "an even INPUT.RESIZE_SQUARE_TRAIN.*found 0"),
    ],
)
def test_what_cannot_be_is_told_by_key(cfg, overrides, message):
    cfg.merge_from_list(overrides)
    with pytest.raises(ValueError, match=message):
        build_mosaic(cfg)


def test_a_detector_reads_a_mosaic_as_any_image(cfg, records):
    sample = Mosaic.join([build_mosaic(cfg).mapper(record) for record in records[:4]])
    truth = GroundTruth.from_batch([sample], [(SIDE, SIDE)], torch.device("cpu"))
    assert truth.faces.shape == (3, 4) and truth.regions.shape == (3, 4)
