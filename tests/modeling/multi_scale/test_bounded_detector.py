"""Tests of images of any size in bounded memory, on a detector whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from PIL import Image

from df2s2_d2 import load_config
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.modeling.multi_scale.bounded_detector import BoundedDetector
from df2s2_d2.modeling.multi_scale.test_time_augmentation import DenseDetectorWithTTA
from tests.modeling.multi_scale.test_test_time_augmentation import RectangleFinder, drawing

MAX_PIXELS = 300_000
STRIP = (20, 3000)
# Rectangles of all sizes, as far as a strip has room for them.
FACES = [[5, 3, 19, 17], [400, 6, 412, 20], [1111, 0, 1128, 18], [2960, 2, 2975, 18]]


def make_config(*overrides, config_file: str = ""):
    keys = ["TEST.AUG.MAX_PIXELS", MAX_PIXELS, "TEST.AUG.TILE_OVERLAP", 64]
    keys += ["INPUT.MIN_SIZE_TEST", 800, "INPUT.MAX_SIZE_TEST", 0]
    return load_config(config_file, [*keys, *overrides])


def mapped(cfg, folder: Path, image: torch.Tensor) -> dict:
    """What a test loader gives."""
    path = folder / "image.png"
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return FaceDatasetMapper(cfg, is_train=False)({"file_name": str(path), "image_id": "image"})


class OriginalSizeFinder(RectangleFinder):
    """Pads to multiples of 32, and gives boxes in pixels of the original, as detectors do."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Module()
        self.backbone.size_divisibility = 32

    def largest_piece(self) -> int:
        """Pixels after padding."""
        return max((-(-x.shape[1] // 32) * 32) * (-(-x.shape[2] // 32) * 32) for x in self.seen)

    def find(self, inputs: dict):
        height, width = inputs["image"].shape[1:]
        found = super().find({**inputs, "height": height, "width": width})
        boxes = found.pred_boxes
        boxes.scale(inputs["width"] / width, inputs["height"] / height)
        found._image_size = (inputs["height"], inputs["width"])
        return found


def found_boxes(instances) -> np.ndarray:
    boxes = instances.pred_boxes.tensor.numpy()
    return boxes[np.argsort(boxes[:, 0])]


@pytest.mark.parametrize(
    "overrides",
    [
        [],  # short side 800: 96 megapixels
        ["INPUT.MIN_SIZE_TEST", 160],  # 3.8 megapixels
        ["TEST.AUG.ENABLED", True, "TEST.AUG.MIN_SIZES", (20, 100, 1000), "TEST.AUG.FLIP", True],
        ["TEST.AUG.ENABLED", True, "TEST.AUG.MIN_SIZES", (800,)],
    ],
)
def test_the_faces_of_a_strip_are_found_in_pieces_within_the_bound(tmp_path, overrides):
    cfg = make_config(*overrides)
    inputs = mapped(cfg, tmp_path, drawing(STRIP, FACES))
    assert (inputs["height"], inputs["width"]) == STRIP
    # Neither does the loader hold more than the image.
    assert inputs["image"].shape[1:] == STRIP
    finder = OriginalSizeFinder()
    (output,) = BoundedDetector(cfg, finder)([inputs])
    assert finder.largest_piece() <= MAX_PIXELS and len(finder.seen) <= 20
    assert output["instances"].image_size == STRIP
    np.testing.assert_allclose(found_boxes(output["instances"]), FACES, atol=1)


def test_a_large_image_in_its_original_size_is_tiled(tmp_path):
    cfg = make_config("INPUT.MIN_SIZE_TEST", 0)
    faces = [[10, 20, 40, 60], [300, 500, 340, 550], [150, 100, 650, 600]]
    finder = OriginalSizeFinder()
    inputs = mapped(cfg, tmp_path, drawing((700, 900), faces))
    (output,) = BoundedDetector(cfg, finder)([inputs])
    assert len(finder.seen) > 2
    assert finder.largest_piece() <= MAX_PIXELS
    # Of the faces that touch, none is missed; the large one is seen whole in the copy that fits.
    boxes = found_boxes(output["instances"])
    np.testing.assert_allclose(boxes[[0, -1]], [faces[0], faces[2]], atol=2)


def test_a_resized_copy_that_only_padding_makes_too_large_is_tiled(tmp_path):
    """129 x 1072 pixels, more than the bound after padding to 32: no original is there to tile."""
    cfg = make_config("INPUT.MIN_SIZE_TEST", 129, "TEST.AUG.MAX_PIXELS", 140_000)
    finder = OriginalSizeFinder()
    faces = [[9, 5, 30, 25], [480, 8, 520, 40]]
    inputs = mapped(cfg, tmp_path, drawing((65, 540), faces))
    assert inputs["image"].shape[1:] == (129, 1072)
    (output,) = BoundedDetector(cfg, finder)([inputs])
    assert len(finder.seen) > 1
    assert finder.largest_piece() <= 140_000
    assert output["instances"].image_size == (65, 540)
    np.testing.assert_allclose(found_boxes(output["instances"]), faces, atol=1)


@pytest.mark.parametrize("name", ["DF2S2/DF2S2_R50.yaml", "DSFD/DSFD_R50.yaml"])
def test_ordinary_images_get_what_the_plain_detector_gives(tiny_config, tmp_path, name):
    cfg = tiny_config(name)
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 96, 0
    model = build_model(cfg).eval()
    image = torch.randint(0, 256, (3, 100, 140), dtype=torch.uint8)
    inputs = mapped(cfg, tmp_path, image)
    assert inputs["image"].shape[1:] == (96, 134)
    strip = mapped(cfg, tmp_path, torch.zeros(3, 3, 1800, dtype=torch.uint8))
    with torch.no_grad():
        expected = model([inputs])[0]["instances"]
    bounded = BoundedDetector(cfg, model)
    for batch in ([inputs], [strip, inputs], [inputs, strip]):
        outputs = bounded(batch)
        found = outputs[[one is inputs for one in batch].index(True)]["instances"]
        assert len(found) == len(expected) > 0
        assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
        assert torch.equal(found.scores, expected.scores)


def test_augmented_images_get_what_augmentation_alone_gives(tmp_path):
    cfg = make_config("TEST.AUG.ENABLED", True, "TEST.AUG.MIN_SIZES", (120, 240))
    inputs = mapped(cfg, tmp_path, drawing((240, 250), [[3, 5, 40, 61], [60, 100, 180, 220]]))
    finders = OriginalSizeFinder(), OriginalSizeFinder()
    found = [
        detector([inputs])[0]["instances"]
        for detector in (
            BoundedDetector(cfg, finders[0]),
            DenseDetectorWithTTA(cfg, finders[1]),
        )
    ]
    assert len(finders[0].seen) == len(finders[1].seen)
    assert torch.equal(found[0].pred_boxes.tensor, found[1].pred_boxes.tensor)
    assert torch.equal(found[0].scores, found[1].scores)


def test_a_wrong_bound_is_told_by_key_before_anything_is_tested():
    with pytest.raises(ValueError, match=r"TEST\.AUG\.MAX_PIXELS"):
        BoundedDetector(make_config("TEST.AUG.MAX_PIXELS", 1000), RectangleFinder())
