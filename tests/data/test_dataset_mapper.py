from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import transforms as T
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.structures import BoxMode
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from df2s2_d2.config import add_df2s2_config
from df2s2_d2.data import FaceDatasetMapper, RandomSquareCrop

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def record(tmp_path, image):
    """Dataset dict of an image with two faces and two regions marked invalid."""
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    return {
        "file_name": str(path),
        "image_id": "a",
        "annotations": [
            annotation([10, 10, 20, 22]),
            annotation([0, 0, 30, 30], iscrowd=1),
            annotation([40, 5, 50, 15]),
            annotation([50, 30, 70, 50], iscrowd=1),
        ],
    }


def annotation(bbox: list[float], iscrowd: int = 0, bbox_mode: BoxMode = BoxMode.XYXY_ABS) -> dict:
    return {"bbox": bbox, "bbox_mode": bbox_mode, "category_id": 0, "iscrowd": iscrowd}


def make_mapper(augmentations=(), is_train: bool = True, **settings) -> FaceDatasetMapper:
    defaults = {"image_format": "RGB", "invalid_faces": "ignore", "min_face_size": 1.0}
    return FaceDatasetMapper(
        is_train=is_train, augmentations=list(augmentations), **{**defaults, **settings}
    )


def boxes_of(result: dict) -> list[list[float]]:
    return result["instances"].gt_boxes.tensor.tolist()


def test_training_record(record, image):
    before = copy.deepcopy(record)
    result = make_mapper()(record)
    assert record == before
    assert set(result) == {
        *("file_name", "image_id", "height", "width", "image", "instances", "ignore_regions")
    }
    assert (result["height"], result["width"]) == (HEIGHT, WIDTH)
    assert result["image"].dtype == torch.uint8 and result["image"].is_contiguous()
    np.testing.assert_array_equal(result["image"].permute(1, 2, 0).numpy(), image)
    assert result["instances"].image_size == (HEIGHT, WIDTH)
    assert boxes_of(result) == [[10, 10, 20, 22], [40, 5, 50, 15]]
    assert result["instances"].gt_classes.tolist() == [0, 0]
    assert result["ignore_regions"].dtype == torch.float32
    assert result["ignore_regions"].tolist() == [[0, 0, 30, 30], [50, 30, 60, 40]]


@pytest.mark.parametrize(
    ("invalid_faces", "num_faces", "num_regions"),
    [("ignore", 2, 2), ("face", 4, 0), ("drop", 2, 0)],
)
def test_what_invalid_faces_are(record, invalid_faces, num_faces, num_regions):
    result = make_mapper(invalid_faces=invalid_faces)(record)
    assert len(result["instances"]) == num_faces
    assert result["ignore_regions"].shape == (num_regions, 4)


def test_unknown_kind_of_invalid_faces_is_told_by_key():
    with pytest.raises(ValueError, match="DATASETS.INVALID_FACES.*'keep'"):
        make_mapper(invalid_faces="keep")


def test_a_crop_keeps_faces_by_their_centres_and_clips_them(record):
    record["annotations"] += [
        annotation([0, 10, 24, 30]),  # centre (12, 20), on the crop's border: out
        annotation([0, 10, 26, 30]),  # centre (13, 20): in, clipped at x = 12
        annotation([42, 34, 52, 40]),  # centre (47, 37): below the crop
    ]
    crop_and_enlarge = [T.CropTransform(12, 4, 36, 30), T.ResizeTransform(30, 36, 60, 72)]
    result = make_mapper(crop_and_enlarge)(record)
    assert result["image"].shape == (3, 60, 72)
    assert (result["height"], result["width"]) == (HEIGHT, WIDTH)
    assert boxes_of(result) == [[0, 12, 16, 36], [56, 2, 72, 22], [0, 12, 28, 52]]
    # The second region lies outside; regions stay as far as they show, whatever their centre.
    assert result["ignore_regions"].tolist() == [[0, 0, 36, 52]]


def test_degenerate_boxes_never_come_out(record):
    record["annotations"] = [
        annotation([5, 5, 5, 20]),  # no width
        annotation([9, 9, 4, 20]),  # negative width
        annotation([-9, 5, 0, 20]),  # touches the border from outside
        annotation([70, 5, 90, 20]),  # outside
        annotation([-9, 5, 1, 20]),  # its visible part is a face
        annotation([70, 5, 90, 20], iscrowd=1),
    ]
    result = make_mapper()(record)
    assert boxes_of(result) == [[0, 5, 1, 20]]
    assert result["ignore_regions"].shape == (0, 4)


def test_min_face_size_counts_pixels_after_the_transforms(record):
    halve = T.ResizeTransform(HEIGHT, WIDTH, HEIGHT // 2, WIDTH // 2)
    assert boxes_of(make_mapper([halve], min_face_size=5.0)(record)) == [
        [5, 5, 10, 11],
        [20, 2.5, 25, 7.5],
    ]
    assert boxes_of(make_mapper([halve], min_face_size=5.1)(record)) == []


def test_small_faces_are_background_or_left_out(record):
    record["annotations"] += [
        annotation([30, 10, 34, 30]),  # too narrow
        annotation([-6, 20, 8, 30]),  # shows 8 pixels of its width, 4 after the resize
    ]
    halve = T.ResizeTransform(HEIGHT, WIDTH, HEIGHT // 2, WIDTH // 2)
    dropped = make_mapper([halve], min_face_size=4.5)(record)
    ignored = make_mapper([halve], min_face_size=4.5, small_faces="ignore")(record)
    assert boxes_of(dropped) == boxes_of(ignored) == [[5, 5, 10, 11], [20, 2.5, 25, 7.5]]
    regions = [[0, 0, 15, 15], [25, 15, 30, 20]]
    assert dropped["ignore_regions"].tolist() == regions
    assert ignored["ignore_regions"].tolist() == [*regions, [15, 5, 17, 15], [0, 10, 4, 15]]
    assert ignored["ignore_regions"].dtype == torch.float32


def test_unknown_kind_of_small_faces_is_told_by_key():
    with pytest.raises(ValueError, match="INPUT.SMALL_FACES.*'face'"):
        make_mapper(small_faces="face")


def test_min_original_face_size_counts_shown_pixels_before_the_resize(record):
    record["annotations"] = [
        annotation([20, 10, 28, 18]),  # 8 × 8
        annotation([30, 10, 37.9, 30]),  # narrower
        annotation([8, 20, 21, 36]),  # cut to 9 pixels of its width
        annotation([6, 20, 20, 36]),  # cut to 8
        annotation([5, 20, 19.9, 36]),  # cut to less
    ]
    enlarge = [
        T.CropTransform(12, 4, 36, 36),
        T.ResizeTransform(36, 36, 360, 180),
        T.HFlipTransform(180),
    ]
    result = make_mapper(enlarge, min_original_face_size=8.0)(record)
    np.testing.assert_allclose(
        boxes_of(result),
        [[100, 60, 140, 140], [135, 160, 180, 320], [140, 160, 180, 320]],
        rtol=1e-6,
    )
    assert len(make_mapper(enlarge)(record)["instances"]) == 5


def test_images_without_faces(record):
    record["annotations"] = []
    result = make_mapper([RandomSquareCrop(0.3, 1.0), T.Resize(32), T.RandomFlip()])(record)
    assert result["image"].shape == (3, 32, 32)
    assert result["instances"].gt_boxes.tensor.shape == (0, 4)
    assert result["instances"].gt_classes.dtype == torch.int64
    assert result["ignore_regions"].shape == (0, 4)


def test_boxes_in_another_mode(record):
    record["annotations"] = [
        annotation([1, 2, 3, 4]),
        annotation([1, 2, 3, 4], bbox_mode=BoxMode.XYWH_ABS),
    ]
    assert boxes_of(make_mapper()(record)) == [[1, 2, 3, 4], [1, 2, 4, 6]]


def test_the_crop_sees_faces_but_not_invalid_regions(record):
    seen = []

    class Look(T.Augmentation):
        def get_transform(self, image, boxes):
            seen.append(boxes.tolist())
            return T.NoOpTransform()

    make_mapper([Look()])(record)
    assert seen == [[[10, 10, 20, 22], [40, 5, 50, 15]]]


def test_kept_faces_are_those_that_show_at_least_to_their_centre(tmp_path):
    """Painted faces, 80 × 80: of a kept one more than half shows either way, of others less."""
    boxes = [[20, 30, 100, 110], [150, 60, 230, 140], [310, 200, 390, 280]]
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, channel] = 255
    Image.fromarray(image).save(tmp_path / "painted.png")
    record = {
        "file_name": str(tmp_path / "painted.png"),
        "annotations": [annotation(box) for box in boxes],
    }
    np.random.seed(0)
    # Side 150 of 300, enlarged to 300: faces are 160 wide and high.
    mapper = make_mapper([RandomSquareCrop(0.5, 0.5), T.Resize(300), T.RandomFlip()])
    num_kept = 0
    for _ in range(40):
        result = mapper(record)
        kept = iter(boxes_of(result))
        for channel in result["image"].numpy():
            ys, xs = np.nonzero(channel > 127)
            if len(xs) == 0:
                continue
            shown = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            size = (shown[2:] - shown[:2]).min()
            if size > 81:
                np.testing.assert_allclose(next(kept), shown, atol=1.0)
                num_kept += 1
            elif size > 79:  # Too close to tell from pixels.
                break
        else:
            assert next(kept, None) is None
    assert num_kept > 40


def test_anchor_sampling_moves_faces_and_ignored_regions_with_their_pixels(tmp_path):
    """A red face, a green one too small to be trained on, and a blue region to be ignored."""
    boxes = np.array([[60, 40, 84, 70], [130, 20, 135, 26], [100, 60, 160, 110]])
    image = np.zeros((120, 180, 3), dtype=np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, channel] = 255
    Image.fromarray(image).save(tmp_path / "painted.png")
    record = {
        "file_name": str(tmp_path / "painted.png"),
        "annotations": [annotation(box, iscrowd=i == 2) for i, box in enumerate(boxes.tolist())],
    }
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.MODEL.PIXEL_MEAN = [7.0, 7.0, 7.0]
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.ANCHOR_SAMPLING.ENABLED = True
    cfg.INPUT.ANCHOR_SAMPLING.PROBABILITY = 0.8
    cfg.INPUT.ANCHOR_SAMPLING.ANCHOR_SIZES = [32, 64]
    cfg.INPUT.MIN_ORIGINAL_FACE_SIZE = 8.0
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 256
    mapper = FaceDatasetMapper(cfg, is_train=True)
    np.random.seed(0)
    num_faces = num_padded = num_regions = 0
    for _ in range(60):
        result = mapper(record)
        assert result["image"].shape == (3, 256, 256)
        red, _, blue = result["image"].numpy()
        num_padded += (result["image"] == 7).all(dim=0).any().item()
        for channel, shown in ((red, boxes_of(result)), (blue, result["ignore_regions"].tolist())):
            ys, xs = np.nonzero(channel > 127)
            if not shown:
                # Not in the crop, or by less than half.
                assert len(xs) == 0 or channel is red
                continue
            painted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(shown, [painted], atol=1.5)
        num_faces += len(result["instances"])
        num_regions += len(result["ignore_regions"])
    assert num_faces > 50 and num_padded > 10 and num_regions > 20


def test_test_mode_reads_and_resizes_only(record, image):
    result = make_mapper([T.Resize((20, 30))], is_train=False)(record)
    assert set(result) == {"file_name", "image_id", "height", "width", "image"}
    assert result["image"].shape == (3, 20, 30)
    assert (result["height"], result["width"]) == (HEIGHT, WIDTH)


def test_training_without_annotations_is_an_error(record):
    del record["annotations"]
    with pytest.raises(ValueError, match="a.png has no annotations.*DATASETS.TRAIN"):
        make_mapper()(record)


def test_exif_rotation_is_applied_to_image_and_size(record, tmp_path, image):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    path = tmp_path / "turned.png"
    Image.fromarray(image).save(path, exif=exif)
    result = make_mapper()({**record, "file_name": str(path)})
    assert (result["height"], result["width"]) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(result["image"].permute(1, 2, 0).numpy(), np.rot90(image, k=-1))


def test_grey_images_and_bgr(record, tmp_path, image):
    path = tmp_path / "grey.png"
    Image.fromarray(image[..., 0]).save(path)
    grey = make_mapper()({**record, "file_name": str(path)})["image"].numpy()
    np.testing.assert_array_equal(grey, np.stack([image[..., 0]] * 3))
    bgr = make_mapper(image_format="BGR")(record)["image"].numpy()
    np.testing.assert_array_equal(bgr, image.transpose(2, 0, 1)[::-1])


def test_unreadable_images_are_told_by_name(record, tmp_path, image):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(image).save(whole)
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(whole.read_bytes()[:-500])
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "a.png").read_bytes()[:60])
    for path in (truncated, text, empty, broken):
        with pytest.raises(OSError, match=f"The image .*{path.name} cannot be read"):
            make_mapper()({**record, "file_name": str(path)})
    with pytest.raises(FileNotFoundError, match="absent.jpg does not exist"):
        make_mapper()({**record, "file_name": str(tmp_path / "absent.jpg")})


def test_an_image_of_another_size_than_annotated_is_an_error(record):
    with pytest.raises(SizeMismatchError, match="a.png"):
        make_mapper()({**record, "height": HEIGHT, "width": WIDTH + 1})


def test_a_worker_leaves_the_other_cores_to_other_workers(record):
    class CountThreads(T.Augmentation):
        def get_transform(self, image):
            counts.append(cv2.getNumThreads())
            return T.NoOpTransform()

    counts = []
    mapper = make_mapper([CountThreads()])

    class Images(Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> list[int]:
            mapper(record)
            return counts

    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        (in_worker,) = DataLoader(Images(), num_workers=1, collate_fn=lambda batch: batch[0])
        mapper(record)
    finally:
        cv2.setNumThreads(before)
    assert in_worker == [1] and counts == [2]


def test_from_config(record):
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 64
    cfg.INPUT.PHOTOMETRIC_DISTORTION = True
    cfg.INPUT.MIN_FACE_SIZE = 1000.0
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 80, 0
    cfg.DATASETS.INVALID_FACES = "drop"
    result = FaceDatasetMapper(cfg, is_train=True)(record)
    assert result["image"].shape == (3, 64, 64)
    assert len(result["instances"]) == len(result["ignore_regions"]) == 0
    assert FaceDatasetMapper(cfg, is_train=False)(record)["image"].shape == (3, 80, 120)
