"""Training and evaluation on photographs, as a user's first run goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from detectron2.engine import hooks
from detectron2.utils.env import seed_all_rng

from df2s2_d2.evaluation import read_detections
from df2s2_d2.formats.wider_face_text import read_annotations
from df2s2_d2.training import Trainer, check_inputs
from tests.small_runs import ROOT, registered, smallest_config, wider_face_files

pytestmark = pytest.mark.real_data

QUICK_CONFIG = str(ROOT / "configs/DF2S2/small/DF2S2_R18_quick.yaml")
STEPS = 10
NUM_TESTED = 10


class LossRecorder(hooks.HookBase):
    """Keeps the losses of every iteration."""

    def __init__(self):
        self.losses: list[dict[str, float]] = []

    def after_step(self):
        latest = self.trainer.storage.latest()
        self.losses.append({name: latest[name][0] for name in latest if "loss" in name})


@pytest.fixture(scope="module")
def pretrained(shared_data, tmp_path_factory) -> Path:
    """ImageNet weights of a ResNet-18 in torchvision's layout."""
    folder = shared_data.parent / "weights"
    if not (folder / "decode.py").is_file():
        stop = pytest.fail if os.getenv("DF2S2_REQUIRE_REAL_DATA") == "1" else pytest.skip
        stop(f"no ImageNet weights: {folder}/decode.py does not exist")
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    command = [folder / "decode.py", folder / "resnet18_codebooks.pth", path]
    subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def data_sets(shared_data, tmp_path_factory):
    """The photographs for training, and every twentieth of those for testing."""
    files = wider_face_files(shared_data / "mini", "val")
    tested = read_annotations(files["annotation_file"])[::20]
    assert len(tested) == NUM_TESTED
    lines = []
    for image in tested:
        lines += [image.path, str(len(image.boxes))]
        lines += [" ".join(f"{value:g}" for value in box) for box in image.boxes]
    annotation_file = tmp_path_factory.mktemp("data") / "ten_images.txt"
    annotation_file.write_text("\n".join(lines))
    with registered(
        real_train=wider_face_files(shared_data / "mini", "train"),
        real_val={"image_dir": files["image_dir"], "annotation_file": annotation_file},
    ):
        yield


def test_trains_on_photographs_and_is_evaluated(data_sets, pretrained, tmp_path):
    cfg = smallest_config(
        QUICK_CONFIG,
        DATASETS__TRAIN=("real_train",),
        DATASETS__TEST=("real_val",),
        MODEL__BOTTOM_UP__WEIGHTS=str(pretrained),
        MODEL__RESNETS__DEPTH=18,
        MODEL__RESNETS__STEM_OUT_CHANNELS=64,
        MODEL__RESNETS__RES2_OUT_CHANNELS=64,
        MODEL__RESNETS__WIDTH_PER_GROUP=64,
        INPUT__RESIZE_SQUARE_TRAIN=128,
        INPUT__MIN_SIZE_TEST=256,
        SOLVER__MAX_ITER=STEPS,
        SOLVER__IMS_PER_BATCH=4,
        SOLVER__BASE_LR=0.005,
        SOLVER__WARMUP_ITERS=2,
        OUTPUT_DIR=str(tmp_path),
    )
    check_inputs(cfg)
    seed_all_rng(cfg.SEED)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    recorder = LossRecorder()
    trainer.register_hooks([recorder])
    trainer.train()

    assert len(recorder.losses) == STEPS
    assert {"loss_cls", "loss_box_reg", "loss_mask"} <= recorder.losses[0].keys()
    assert all(np.isfinite(list(losses.values())).all() for losses in recorder.losses)
    total = np.array([losses["total_loss"] for losses in recorder.losses])
    assert total[-3:].mean() < total[:3].mean()

    results = Trainer.test(cfg, trainer.model)
    assert results.keys() == {"wider_face", "coco"}
    assert results["wider_face"].keys() == {"AP_easy", "AP_medium", "AP_hard"}
    for value in [*results["wider_face"].values(), results["coco"]["AP"]]:
        assert type(value) is float and 0 <= value <= 1

    written = read_detections(tmp_path / "inference/real_val/wider_face_submission")
    records = DatasetCatalog.get("real_val")
    assert written.keys() == {record["image_id"] for record in records}
    assert sum(map(len, written.values())) > 0
    for rows in written.values():
        assert len(rows) <= cfg.TEST.DETECTIONS_PER_IMAGE
        assert (rows[:, 4] > cfg.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST).all()
        # The photographs are 416 pixels wide and high, however large they are in the network.
        assert (rows[:, :2] >= 0).all() and (rows[:, :2] + rows[:, 2:4] <= 416 + 1e-3).all()
