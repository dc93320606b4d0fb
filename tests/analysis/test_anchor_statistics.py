from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from detectron2.structures import Boxes, pairwise_iou

from df2s2_d2.analysis.anchor_statistics import (
    BoxesOnly,
    analyze,
    augment,
    build_anchors,
    count_matches,
)
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.datasets import load_wider_face
from tests.analysis.plain_anchors import make_config


def record(*boxes: list[float], size: tuple[int, int] = (128, 128)) -> dict:
    annotations = [{"bbox": box, "bbox_mode": 0, "iscrowd": 0} for box in boxes]
    return {"height": size[0], "width": size[1], "annotations": annotations}


def test_hand_computed_counts():
    # Anchors of 16 stand at 2, 6, 10, ... Moved by d in one direction, one overlaps a face on its
    # place by (16 - d) / (16 + d): 0.6 for d = 4, 0.33 for d = 8; moved by 4 in both directions,
    # by 12² / (2 × 16² - 12²) = 0.39. So the face on an anchor has 5.
    on_an_anchor = [58 - 8, 58 - 8, 58 + 8, 58 + 8]
    # Halfway between four: each overlaps by 14² / (2 × 16² - 14²) = 0.62; the next eight, moved
    # by (2, 6), by 14 × 10 / (2 × 16² - 14 × 10) = 0.38.
    between = [20 - 8, 100 - 8, 20 + 8, 100 + 8]
    # 4 x 4, smaller than all: the anchors of 16 that contain it, moved by up to 6 from (102, 18),
    # fit equally well: 3 x 3.
    tiny = [102 - 2, 18 - 2, 102 + 2, 18 + 2]
    faces = [on_an_anchor, between, tiny]
    generator, matcher = build_anchors(make_config())
    images = [(np.array(faces), (128, 128)), (np.zeros((0, 4)), (128, 128))]
    assert count_matches(generator, matcher, images).tolist() == [5, 4, 9]

    statistics = analyze(make_config(), [record(*faces), record()])
    assert statistics.num_images == 2
    assert statistics.counts.tolist() == [5, 4, 9]
    np.testing.assert_allclose(statistics.face_sizes, [16, 16, 4])
    np.testing.assert_allclose(statistics.octaves_to_anchor, [0, 0, -2])
    summary = statistics.summary()
    assert summary["all"] == {
        "faces": 3,
        "mean_anchors": 6.0,
        "share_near": 2 / 3,
        "shares_by_count": {"0": 0, "1": 0, "2-4": 1 / 3, "5-9": 2 / 3, "10+": 0},
    }
    rows = {row["size"]: (row["faces"], row["mean_anchors"]) for row in summary["by_size"]}
    assert (rows["0-8"], rows["8-16"], rows["16-32"]) == ((1, 9.0), (0, None), (2, 4.5))
    assert summary["mean_of_sizes"] == 6.75
    assert summary["faces_by_count"] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]


def test_counts_of_many_faces_equal_those_of_the_dense_matrix():
    rng = np.random.default_rng(0)
    cfg = make_config({"MODEL.SHOT.MATCHING.ALLOW_LOW_QUALITY_MATCHES": False})
    generator, matcher = build_anchors(cfg)
    images = []
    for _ in range(40):
        centers, sizes = rng.uniform(10, 118, (6, 2)), rng.uniform(5, 60, (6, 2))
        boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
        images.append((boxes.clip(0, 128).astype(np.float32), (128, 128)))
    grids = generator.grids([(-(-128 // stride),) * 2 for stride in generator.strides])
    anchors = Boxes(torch.cat([grid.boxes() for grid in grids]))
    expected = []
    for boxes, _ in images:
        ious = pairwise_iou(Boxes(boxes), anchors).numpy()
        owners = np.where(ious.max(axis=0) >= 0.4, ious.argmax(axis=0), -1)
        expected += [(owners == face).sum() for face in range(len(boxes))]
    assert count_matches(generator, matcher, images).tolist() == expected


def test_boxes_move_as_they_do_with_images(sample_dataset):
    root = sample_dataset / "wider_face"
    records = load_wider_face(
        str(root / "WIDER_train/images"),
        str(root / "wider_face_split/wider_face_train_bbx_gt.txt"),
    )
    cfg = make_config(
        {
            "INPUT.CROP.ENABLED": True,
            "INPUT.RANDOM_FLIP": "horizontal",
            "INPUT.ANCHOR_SAMPLING.ENABLED": True,
            "INPUT.ANCHOR_SAMPLING.PROBABILITY": 0.5,
            "INPUT.PHOTOMETRIC_DISTORTION": False,
        }
    )
    mapper = FaceDatasetMapper(cfg, is_train=True)
    np.random.seed(0)
    with_images = [mapper(record) for record in records * 3]
    np.random.seed(0)
    for expected, (faces, size) in zip(with_images, augment(cfg, records * 3), strict=True):
        assert expected["instances"].image_size == size
        np.testing.assert_allclose(expected["instances"].gt_boxes.tensor.numpy(), faces)


def test_the_stand_in_follows_sizes_without_pixels():
    inputs = BoxesOnly((40_000, 30_000), np.array([[0.0, 0, 300, 400]]))
    T.AugmentationList([T.CropTransform(0, 0, 3000, 2000), T.ResizeShortestEdge(100, 1000)])(inputs)
    assert inputs.image_size == (100, 150) and inputs.image.shape == (100, 150, 3)
    np.testing.assert_allclose(inputs.boxes, [[0, 0, 15, 20]])


def test_images_of_different_sizes_count_their_own_anchors():
    cfg = make_config({"INPUT.RESIZE_SQUARE_TRAIN": 0, "INPUT.MIN_SIZE_TRAIN": (64,)})
    face = [26 - 8, 26 - 8, 26 + 8, 26 + 8]
    records = [record(face, size=(64, 64)), record(face, size=(64, 200))]
    assert analyze(cfg, records).counts.tolist() == [5, 5]


def test_faces_and_levels_that_cannot_be_matched_are_told():
    with pytest.raises(ValueError, match="No face of the 2 images.*INPUT.MIN_FACE_SIZE"):
        analyze(make_config(), [record(), record([5, 5, 5.5, 5.5])])
    with pytest.raises(ValueError, match=r"IN_FEATURES: expected names such as p2.*\['top'\]"):
        build_anchors(make_config({"MODEL.SHOT.IN_FEATURES": ["top"]}))
