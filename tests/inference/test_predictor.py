"""The predictor, with a small detector, and with one whose answers are known."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from PIL import Image
from scipy import ndimage

from df2s2_d2 import Predictor
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.inference.trained_weights import load_trained, without_training_parts
from df2s2_d2.modeling import DenseDetectorWithTTA

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (90, 120, 3), dtype=np.uint8)


def assert_same(found: Instances, expected: Instances) -> None:
    """Same detections but for rounding; of near-equal scores the order may differ."""
    assert found.image_size == expected.image_size
    assert len(found) == len(expected) > 20
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    distances = torch.cdist(found.pred_boxes.tensor, expected.pred_boxes.tensor, p=torch.inf)
    assert distances.amin(dim=1).max() < 0.01


@pytest.fixture(scope="module")
def predictor(checkpoint) -> Predictor:
    return Predictor(checkpoint)


@pytest.fixture
def photo(tmp_path) -> str:
    Image.fromarray(IMAGE).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


# The detector


def test_checkpoint_alone_finds_what_a_test_of_it_finds(checkpoint_config, checkpoint, photo):
    model = build_model(without_training_parts(checkpoint_config)).eval()
    load_trained(model, checkpoint)
    record = FaceDatasetMapper(checkpoint_config, is_train=False)({"file_name": photo})
    with torch.no_grad():
        expected = model([record])[0]["instances"]
    found = Predictor(checkpoint)(photo)
    assert_same(found, expected)
    assert found.image_size == (90, 120)
    assert found.get_fields().keys() == {"pred_boxes", "scores", "pred_classes"}
    assert all(field.device.type == "cpu" for field in found.get_fields().values())
    assert (found.scores > 0.01).all() and (found.scores.diff() <= 0).all()


def test_config_and_config_file_with_weights_are_the_same_detector(
    checkpoint_config, checkpoint, predictor, tmp_path
):
    expected = predictor(IMAGE)
    weights = ["MODEL.WEIGHTS", checkpoint]
    assert_same(Predictor(checkpoint_config, overrides=weights)(IMAGE), expected)
    assert checkpoint_config.MODEL.WEIGHTS == ""  # the caller's own is not changed
    path = tmp_path / "config.yaml"
    path.write_text(checkpoint_config.dump())
    assert_same(Predictor(path, overrides=weights)(IMAGE), expected)


def test_overrides_go_over_the_carried_config(checkpoint, predictor):
    threshold = predictor(IMAGE).scores.median().item()
    overrides = ["MODEL.FACE_DETECTOR.SCORE_THRESH_TEST", threshold, "TEST.DETECTIONS_PER_IMAGE", 5]
    found = Predictor(checkpoint, overrides=overrides)(IMAGE)
    assert len(found) == 5 and (found.scores > threshold).all()


def test_a_checkpoint_of_a_gpu_runs_without_one(checkpoint_config, save_checkpoint, caplog):
    cfg = checkpoint_config.clone()
    cfg.MODEL.DEVICE = "cuda"
    cpu_checkpoint = save_checkpoint(checkpoint_config)
    contents = torch.load(cpu_checkpoint, weights_only=True)
    torch.save({**contents, "config": cfg.dump()}, cpu_checkpoint)
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(torch.cuda, "is_available", lambda: False)
        predictor = Predictor(cpu_checkpoint)
    assert predictor.cfg.MODEL.DEVICE == "cpu"
    assert "There is no GPU for device 'cuda': using the CPU" in caplog.text
    assert len(predictor(IMAGE)) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"overrides": ["MODEL.WEIGHTS", ""]}, "names no trained model: set MODEL.WEIGHTS"),
        ({"overrides": ["MODEL.WEIGHTS", "absent.pth"]}, "MODEL.WEIGHTS is 'absent.pth'"),
        ({"overrides": ["MODEL.NO_SUCH", 1]}, "Config overrides: .*MODEL.NO_SUCH"),
        ({"overrides": ["TEST.AUG.MERGE", "none"]}, "TEST.AUG.MERGE"),
        ({"overrides": ["INPUT.FORMAT", "L"]}, "INPUT.FORMAT: expected BGR or RGB, found 'L'"),
        ({"image_format": "bgr"}, "image_format: expected BGR or RGB, found 'bgr'"),
        ({"overrides": ["MODEL.SHOT.HEAD.NUM_CONVS", 3]}, "not of the detector"),
        ({"batch_size": 0}, "batch_size"),
        ({"tile_above": -1}, "tile_above"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_wrong_arguments_are_named(checkpoint, arguments, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        Predictor(checkpoint, **arguments)


def test_runs_in_any_folder_without_data_sets(checkpoint, photo, tmp_path):
    code = f"""
from df2s2_d2 import Predictor
from detectron2.data import DatasetCatalog
def refuse(*args): raise AssertionError("a data set is read")
DatasetCatalog.get = DatasetCatalog.register = refuse
print(len(Predictor({checkpoint!r})({photo!r})) > 0)
"""
    environment = {k: v for k, v in os.environ.items() if k != "DETECTRON2_DATASETS"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.stdout.strip() == "True", done.stderr


# Images of every kind


def test_paths_arrays_and_tensors_are_the_same_image(predictor, photo):
    expected = predictor(photo)
    bgr = np.ascontiguousarray(IMAGE[:, :, ::-1])
    opaque = np.dstack((bgr, np.full((90, 120, 1), 255, np.uint8)))
    tensor = torch.from_numpy(bgr).permute(2, 0, 1)
    for image in (Path(photo), bgr, opaque, tensor, tensor.float()):
        assert_same(predictor(image), expected)
    assert not torch.equal(predictor(IMAGE).scores, expected.scores)  # other colours


def test_arrays_may_be_rgb(checkpoint, predictor, photo):
    assert_same(Predictor(checkpoint, image_format="RGB")(IMAGE), predictor(photo))


def test_boxes_are_in_pixels_of_the_upright_photograph(predictor, tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(IMAGE).save(tmp_path / "turned.png", exif=tags)
    found = predictor(tmp_path / "turned.png")
    assert found.image_size == (120, 90)
    assert_same(found, predictor(np.rot90(IMAGE, k=-1)[:, :, ::-1]))


def test_grey_images_and_single_pixels_are_images(predictor):
    grey = np.stack([IMAGE[:, :, 0]] * 3, axis=2)
    assert_same(predictor(IMAGE[:, :, 0]), predictor(grey))
    assert predictor(np.zeros((1, 1), np.uint8)).image_size == (1, 1)
    assert predictor(np.zeros((1, 900), np.uint8)).image_size == (1, 900)


# Several images


def images_of(*sizes: tuple[int, int]) -> list[np.ndarray]:
    return [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_every_image_gets_the_detections_it_gets_alone(predictor):
    images = images_of((90, 120), (120, 90), (91, 118), (300, 50), (64, 64), (120, 88))
    together = predictor(images)
    assert len(together) == len(images)
    for found, image in zip(together, images, strict=True):
        assert_same(found, predictor(image))
    assert [len(found) for found in predictor(iter(images))] == [len(found) for found in together]
    assert predictor([]) == [] and len(predictor((IMAGE,))) == 1


class BlobFinder(torch.nn.Module):
    """Finds bright rectangles on black, unless they are too small; notes what it gets."""

    backbone = SimpleNamespace(size_divisibility=32)
    smallest = 8

    def __init__(self):
        super().__init__()
        self.batches: list[list[tuple[int, int]]] = []

    def forward(self, inputs: list[dict]) -> list[dict]:
        self.batches.append([tuple(one["image"].shape[1:]) for one in inputs])
        return [{"instances": self.find(**one)} for one in inputs]

    def find(self, image: torch.Tensor, height: int, width: int) -> Instances:
        labels, _ = ndimage.label(image[0].numpy() > 60)
        found = ndimage.find_objects(labels)
        boxes = torch.tensor([[x.start, y.start, x.stop, y.stop] for y, x in found]).view(-1, 4)
        boxes = Boxes(boxes.float())
        boxes = boxes[boxes.nonempty(self.smallest - 1)]
        boxes.scale(width / image.shape[2], height / image.shape[1])
        fields = {"pred_boxes": boxes, "scores": 1 - boxes.area() / 1e9}
        classes = torch.zeros(len(boxes), dtype=torch.int64)
        return Instances((height, width), **fields, pred_classes=classes)

    def padded(self) -> list[int]:
        """Pixels of each batch after padding."""
        return [
            len(batch) * int(np.prod(np.ceil(np.max(batch, axis=0) / 32) * 32))
            for batch in self.batches
        ]


@pytest.fixture
def blob_predictor(checkpoint):
    """Function that makes a predictor around a BlobFinder."""

    def make(*overrides, **options) -> Predictor:
        predictor = Predictor(checkpoint, overrides=overrides, **options)
        predictor.model = BlobFinder()
        return predictor

    return make


def drawing(size: tuple[int, int], boxes: list[list[int]]) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = 255
    return image


def test_batches_are_of_one_size_and_bounded(blob_predictor):
    overrides = ["INPUT.MIN_SIZE_TEST", 250, "TEST.AUG.MAX_PIXELS", 512 * 512]
    predictor = blob_predictor(*overrides, batch_size=5)
    sizes = [(100, 100), (100, 150)] * 20
    images = [drawing(size, [[20, 20, 40 + index, 60]]) for index, size in enumerate(sizes)]
    found = predictor(images)
    # In the order of the images, though they came in batches by size.
    widths = [boxes.pred_boxes.tensor[0, 2].item() for boxes in found]
    np.testing.assert_allclose(widths, [40 + index for index in range(40)], atol=1)
    # 250 x 250 padded to 256 x 256: four are a full budget.
    assert max(map(len, predictor.model.batches)) == 4
    assert max(predictor.model.padded()) == 512 * 512
    predictor = blob_predictor(batch_size=5)
    predictor(images)
    assert [len(batch) for batch in predictor.model.batches] == [5] * 8


def test_stream_is_lazy(blob_predictor):
    predictor = blob_predictor(batch_size=2)
    taken = []

    def endless():
        for index in itertools.count():
            taken.append(index)
            yield drawing((50, 50), [[10, 10, 20 + index, 40]])

    stream = predictor.stream(endless())
    assert not taken
    first = next(stream)
    assert first.pred_boxes.tensor[0, 2].item() == pytest.approx(20, abs=1)
    assert len(taken) <= 8
    for expected in range(1, 20):
        assert next(stream).pred_boxes.tensor[0, 2] == pytest.approx(20 + expected, abs=1)
    assert len(taken) <= 24


def test_images_before_a_faulty_one_are_not_lost(predictor, tmp_path):
    images = [IMAGE, IMAGE, tmp_path / "absent.jpg", IMAGE]
    found = []
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        for instances in predictor.stream(images):
            found.append(instances)
    assert len(found) == 2
    with pytest.raises(ValueError, match="^Image 1: expected .* found NoneType"):
        predictor([IMAGE, None])
    with pytest.raises(ValueError, match="found NoneType"):
        predictor(None)  # what OpenCV gives for a file that it cannot read


def test_images_without_faces_have_no_detections(blob_predictor):
    for size in [(60, 80), (300, 5000)]:
        found = blob_predictor()(drawing(size, []))
        assert len(found) == 0 and found.image_size == size
        assert found.pred_boxes.tensor.shape == (0, 4) and found.scores.shape == (0,)


# Large images

SMALL, LARGE = [7000, 200, 7010, 212], [2000, 150, 3100, 1400]


def found_boxes(predictor: Predictor, image: np.ndarray) -> list[list[int]]:
    boxes = predictor(image).pred_boxes.tensor
    return sorted((boxes / 10).round().mul(10).int().tolist())


@pytest.mark.parametrize("short_side", [300, 800, 0])
def test_faces_of_every_size_are_found_in_large_images(blob_predictor, short_side):
    """Tiles cut the large face, and resizing makes the small one too small to be found."""
    image = drawing((1500, 10000), [SMALL, LARGE])
    overrides = ["INPUT.MIN_SIZE_TEST", short_side, "TEST.AUG.MAX_PIXELS", 2**20]
    predictor = blob_predictor(*overrides)
    assert found_boxes(predictor, image) == [[2000, 150, 3100, 1400], [7000, 200, 7010, 210]]
    assert max(predictor.model.padded()) <= 2**20
    if short_side:
        predictor = blob_predictor(*overrides, tile_above=0)
        assert found_boxes(predictor, image) == [[2000, 150, 3100, 1400]]


def test_images_are_large_from_one_pixel_above_the_limit(blob_predictor):
    predictor = blob_predictor(tile_above=1000)
    predictor(drawing((400, 1000), []))
    assert predictor.model.batches == [[(160, 400)]]
    predictor(drawing((400, 1001), []))
    assert predictor.model.batches[1:] == [[(160, 400)], [(400, 1001)]]


def test_copies_above_the_budget_are_tiled_in_images_of_any_size(blob_predictor):
    predictor = blob_predictor("INPUT.MIN_SIZE_TEST", 800, "TEST.AUG.MAX_PIXELS", 512 * 512)
    boxes = [[20, 20, 50, 60], [150, 40, 340, 280]]
    found = found_boxes(predictor, drawing((300, 400), boxes))
    np.testing.assert_allclose(found, boxes, atol=5)
    assert max(predictor.model.padded()) <= 512 * 512 and len(predictor.model.batches) > 4


def test_large_images_and_others_come_back_in_order(blob_predictor):
    predictor = blob_predictor(tile_above=500)
    sizes = [(100, 100), (300, 600), (120, 100), (700, 100)]
    found = predictor([drawing(size, [[20, 30, 60, 80]]) for size in sizes])
    assert [instances.image_size for instances in found] == sizes
    assert [len(instances) for instances in found] == [1] * 4


# Test-time augmentation


@pytest.mark.parametrize(
    "scales",
    [
        [{"SHORT_SIDE": 120, "FLIP": True}],
        [{"SHORT_SIDE": 120, "FLIP": True}, {"FACTOR": 2.0, "MAX_FACE": 50}],
    ],
)
def test_augmentation_of_the_config_is_used(checkpoint, photo, scales):
    overrides = ["TEST.AUG.ENABLED", True, "TEST.AUG.SCALES", scales]
    predictor = Predictor(checkpoint, overrides=overrides)
    augmented = DenseDetectorWithTTA(predictor.cfg, predictor.model)
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)
    expected = augmented([{"image": image}])[0]["instances"]
    assert_same(predictor(photo), expected)
    assert_same(predictor([photo, photo])[1], expected)


def test_augmented_large_images_are_looked_at_in_their_original_size(blob_predictor):
    overrides = ["TEST.AUG.ENABLED", True, "TEST.AUG.SCALES", [{"SHORT_SIDE": 100}]]
    boxes = [[100, 50, 110, 60], [300, 20, 400, 120]]
    image = drawing((200, 600), boxes)
    assert found_boxes(blob_predictor(*overrides), image) == boxes[1:]
    assert found_boxes(blob_predictor(*overrides, tile_above=500), image) == boxes


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_broken_weights_are_an_error_not_an_image_without_faces(checkpoint, tmp_path, value):
    broken = torch.load(checkpoint)
    broken["model"]["head.head.face_logits.bias"][0] = value
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(ValueError, match=r"broken.pth are not finite \(head.head.face_logits.bias"):
        Predictor(tmp_path / "broken.pth")


def test_models_that_find_no_boxes_are_refused(checkpoint):
    expected = "MODEL.META_ARCHITECTURE is SemanticSegmentor: .* FaceDetector, RetinaNet, General"
    with pytest.raises(ValueError, match=expected):
        Predictor(checkpoint, overrides=["MODEL.META_ARCHITECTURE", "SemanticSegmentor"])
