"""How the tests of a config are described."""

from __future__ import annotations

import pytest
from detectron2.utils.events import EventStorage

from df2s2_d2.training import protocol_of
from tests.small_runs import smallest_config


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        (800, 0, "short side 800, score > 0.01"),
        (800, 1333, "short side 800, long side at most 1333, score > 0.01"),
        (0, 0, "original size, score > 0.01"),
        # The original size is kept whatever the limit is (see build_augmentations).
        (0, 1333, "original size, score > 0.01"),
    ],
)
def test_protocol_says_how_images_are_scaled(short, long, expected):
    protocol = protocol_of(smallest_config(INPUT__MIN_SIZE_TEST=short, INPUT__MAX_SIZE_TEST=long))
    assert protocol.describe() == f"{expected}, NMS 0.4, 750 boxes"


def test_protocol_names_the_weights_by_file_and_hash(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"abc")
    cfg = smallest_config(MODEL__WEIGHTS=str(path))
    protocol = protocol_of(cfg)
    # SHA-256 of "abc", as its standard gives it.
    assert (protocol.weights, protocol.weights_sha256) == ("weights.pth", "ba7816bf8f01")
    assert protocol.describe().endswith("weights weights.pth (sha256 ba7816bf8f01)")
    with EventStorage(start_iter=39):
        # In training, the file is only where the run began.
        inside = protocol_of(cfg)
    assert (inside.weights, inside.weights_sha256) == ("iteration 39", "")


@pytest.mark.parametrize(
    ("meta_architecture", "thresholds"),
    [("FaceDetector", (0.01, 0.4)), ("RetinaNet", (0.25, 0.35)), ("SomethingElse", (None, None))],
)
def test_protocol_takes_the_thresholds_of_the_model_at_hand(meta_architecture, thresholds):
    cfg = smallest_config(
        MODEL__META_ARCHITECTURE=meta_architecture,
        MODEL__RETINANET__SCORE_THRESH_TEST=0.25,
        MODEL__RETINANET__NMS_THRESH_TEST=0.35,
    )
    protocol = protocol_of(cfg)
    assert (protocol.score_threshold, protocol.nms_threshold) == thresholds
