"""The command line, with a tiny detector that nobody has trained."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from PIL import Image

import demo
from df2s2_d2.cli import detect
from df2s2_d2.cli.program import build_parser, main
from df2s2_d2.evaluation import read_detections
from df2s2_d2.evaluation.protocol import read_protocol
from df2s2_d2.formats.growing_files import JsonArrayFile
from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.inference.media import face_search
from df2s2_d2.inference.media.face_search import detector_config
from df2s2_d2.inference.media.pictures import Pictures
from tests.inference.media.scenes import moving_face, read_video, write_video
from tests.small_runs import ROOT, registered, smallest_config, wider_face_files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of the tiny detector, and its config as a file."""
    folder = tmp_path_factory.mktemp("demo")
    cfg = smallest_config(MODEL__SHOT__WEAK_MASK__ENABLED=True)
    torch.manual_seed(0)
    weights = build_model(cfg).state_dict()
    torch.save({"model": weights, "config": cfg.dump()}, folder / "model.pth")
    torch.save({"model": weights}, folder / "bare.pth")
    (folder / "config.yaml").write_text(cfg.dump(), encoding="utf-8")
    return folder


@pytest.fixture
def run(model, tmp_path):
    """Function that runs demo.py into tmp_path/out and gives back its exit code."""

    def start(*arguments: str | Path) -> int:
        options = ["--weights", model / "model.pth", "--output", tmp_path / "out", *arguments]
        return demo.main([str(part) for part in options])

    return start


@pytest.fixture
def photos(sample_dataset, tmp_path):
    """Two drawn photographs in a folder, and one in a folder below."""
    images = sorted((sample_dataset / "wider_face/WIDER_val/images").rglob("*.jpg"))
    (tmp_path / "in/x").mkdir(parents=True)
    for path, name in zip(images, ("a.jpg", "b.jpg", "x/a.jpg"), strict=False):
        shutil.copy(path, tmp_path / "in" / name)
    return tmp_path / "in"


def read_json(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))


# The detector's config


def config_for(lowest_score: float, *arguments: str):
    args = build_parser(detect, "demo.py").parse_args(["a", *arguments])
    return detector_config(DetectorOptions.from_args(args), lowest_score)


def test_config_is_that_of_the_checkpoint_or_of_the_file(model):
    for options in (
        ["--weights", model / "model.pth"],
        ["--config-file", model / "config.yaml", "--weights", model / "bare.pth"],
    ):
        cfg = config_for(0.01, *map(str, options))
        assert cfg.MODEL.FFP.OUT_CHANNELS == 16
        assert cfg.MODEL.WEIGHTS == str(options[-1])


@pytest.mark.parametrize(("lowest", "expected"), [(0.3, 0.01), (0.01, 0.01), (0.002, 0.002)])
def test_detector_gives_out_what_a_low_threshold_asks_for(model, lowest, expected):
    cfg = config_for(lowest, "--weights", str(model / "model.pth"))
    assert cfg.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST == expected


# Runs


def test_folder_is_looked_through_and_all_formats_agree(run, photos, tmp_path, capsys):
    assert run("--input", photos, "--save", "json", "csv", "wider", "coco") == 0
    records = read_json(tmp_path / "out/detections.json")
    assert [record["file"] for record in records] == [
        str(photos / name) for name in ("a.jpg", "b.jpg", "x/a.jpg")
    ]
    for name in ("a.jpg", "b.jpg", "x/a.jpg"):
        with Image.open(photos / name) as original, Image.open(tmp_path / "out" / name) as picture:
            assert picture.size == original.size
    scores = [face["score"] for record in records for face in record["faces"]]
    with (tmp_path / "out/detections.csv").open(newline="") as file:
        assert [float(row["score"]) for row in csv.DictReader(file)] == scores
    assert [result["score"] for result in read_json(tmp_path / "out/coco.json")] == scores
    wider = read_detections(tmp_path / "out/wider")
    assert list(wider) == ["in/a", "in/b", "x/a"]
    assert np.concatenate(list(wider.values()))[:, 4].tolist() == scores
    assert len(scores) > 0 and min(scores) > 0.01
    _protocol, _, summary = capsys.readouterr().out.partition("\n")
    assert summary.startswith("3 of 3 images: ")
    assert f", {len(scores):,} candidates above 0.01, in " in summary


def test_faces_of_the_lowest_threshold_are_found(run, photos, tmp_path):
    """That of the pictures may be below that of the results."""
    assert run("--input", photos / "a.jpg", "--crops", "--threshold", "0.001") == 0
    (record,) = read_json(tmp_path / "out/detections.json")
    crops = list((tmp_path / "out/crops").rglob("*.jpg"))
    assert len(crops) > len(record["faces"]) > 0


def test_threshold_of_the_results_is_independent_of_the_detectors_own(run, photos, tmp_path):
    def scores(*options: str) -> list[float]:
        assert run("--input", photos / "a.jpg", *options) == 0
        (record,) = read_json(tmp_path / "out/detections.json")
        return [face["score"] for face in record["faces"]]

    everything = scores()
    assert scores("--opts", "MODEL.FACE_DETECTOR.SCORE_THRESH_TEST", "0.99") == everything
    middle = float(np.median(everything))
    assert scores("--write-threshold", str(middle)) == [s for s in everything if s > middle] != []
    assert read_protocol(tmp_path / "out/detections.json").score_threshold == middle


def test_failures_are_listed_and_the_exit_code_says_so(run, photos, tmp_path, capsys):
    whole = (photos / "a.jpg").read_bytes()
    (photos / "b.jpg").write_bytes(whole[:500])
    (photos / "c.mp4").write_bytes(b"")
    assert run("--input", photos) == 1
    printed = capsys.readouterr()
    assert "2 of 3 images and 0 video frames: " in printed.out
    first, second = printed.err.strip().splitlines()[-2:]
    assert str(photos / "b.jpg") in first and str(photos / "c.mp4") in second
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.jpg")) == ["a.jpg", "a.jpg"]


def test_run_that_its_results_end_says_how_far_it_came(run, photos, capsys, monkeypatch):
    (photos / "a.jpg").write_bytes(b"")
    calls = []

    def add(self, items):
        calls.append(items)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonArrayFile, "add_lines", add)
    assert run("--input", photos) == 1
    printed = capsys.readouterr()
    assert "1 of 3 images: " in printed.out
    failure, end = printed.err.strip().splitlines()[-2:]
    assert str(photos / "a.jpg") in failure
    assert end.startswith(f"demo.py: The results end before {photos / 'x/a.jpg'}: ")


def test_output_whose_name_is_no_text_is_named_as_text(run, photos, tmp_path, capsys):
    output = tmp_path / os.fsdecode(b"found_\xff")
    assert run("--input", photos, "--output", output) == 0
    assert f"-> {tmp_path}/found_\ufffd" in capsys.readouterr().out
    assert (output / "x/a.jpg").exists()


def test_video_and_images_in_one_run(run, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(face_search, "writes_h264", lambda: False)
    write_video(photos / "clip.mp4", moving_face(5))
    assert run("--input", photos, "--batch-size", "2", "--precision", "fp32") == 0
    printed = capsys.readouterr().out
    assert "Videos are written without sound" in printed and "df2s2_d2[video]" in printed
    assert "3 of 3 images and 5 video frames: " in printed
    assert len(read_video(tmp_path / "out/clip.mp4")[0]) == 5
    assert len(read_json(tmp_path / "out/detections.json")) == 8


def test_faces_of_a_video_are_numbered_as_the_run_was_told(run, tmp_path, capsys):
    clip = write_video(tmp_path / "clip.mp4", moving_face(3))
    options = ["--input", clip, "--no-pictures", "--threshold", "0", "--write-threshold", "0"]
    options += ["--track", "--max-gap", "0.5"]
    assert run(*options) == 0
    records = read_json(tmp_path / "out/detections.json")
    tracks = [[face["track"] for face in record["faces"]] for record in records]
    assert tracks[0] and sorted(tracks[0]) == list(range(1, len(tracks[0]) + 1))
    assert run(*options, "--max-gap", "2", "--resume") == 1
    assert "--max-gap was 0.5, is 2.0" in capsys.readouterr().err


def test_run_into_the_folder_of_the_inputs_is_refused(run, photos, capsys, model):
    before = (photos / "a.jpg").read_bytes()
    arguments = ["--weights", model / "model.pth", "--input", photos, "--output", photos]
    assert demo.main([str(part) for part in arguments]) == 1
    assert "a.jpg would be overwritten" in capsys.readouterr().err
    assert (photos / "a.jpg").read_bytes() == before


def test_results_without_pictures_may_lie_beside_the_inputs(run, photos):
    before = (photos / "a.jpg").read_bytes()
    assert run("--input", photos, "--output", photos, "--no-pictures") == 0
    assert len(read_json(photos / "detections.json")) == 3
    assert (photos / "a.jpg").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "absent.jpg"], "demo.py: The input absent.jpg does not exist"),
        (["--input", ".", "--weights", "absent.pth"], "'absent.pth'"),
        (["--input", ".", "--opts", "MODEL.NO_KEY", "1"], "NO_KEY"),
    ],
)
def test_mistakes_are_one_sentence(run, capsys, arguments, message):
    assert run(*arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("demo.py: ") and message in line


def test_model_without_config_asks_for_one(run, model, capsys):
    assert run("--input", ".", "--weights", model / "bare.pth") == 1
    assert "carries no config" in capsys.readouterr().err


def test_absent_camera_is_reported(run, capsys, tmp_path):
    assert run("--webcam", "99") == 1
    assert "Camera 99 gives no pictures" in capsys.readouterr().err
    assert read_json(tmp_path / "out/detections.json") == []


@pytest.mark.parametrize(
    "option", [("--webcam", "-1"), ("--webcam", "9999999999999"), ("--output", "")]
)
def test_values_without_a_meaning_are_a_misuse(run, capsys, option):
    with pytest.raises(SystemExit) as stop:
        run("--input", ".", *option)
    assert stop.value.code == 2
    assert f"argument {option[0]}: expected a " in capsys.readouterr().err


def test_ended_process_leaves_whole_files(model, tmp_path):
    """The first frames are found, then the process is ended from outside, as by a scheduler."""
    clip = write_video(tmp_path / "clip.mp4", moving_face(30) * 200)
    output = tmp_path / "out"
    options = ["--weights", model / "model.pth", "--input", clip, "--output", output]
    command = [sys.executable, ROOT / "demo.py", *options, "--batch-size", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, text=True, env=environment
    )
    results = output / "detections.json"
    # Of the last frame the signal may leave nothing, as it comes in the midst of an addition.
    while process.poll() is None and not (results.exists() and results.read_text().count("\n") > 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted after " in printed
    num_frames = len(read_json(results))
    assert 0 < num_frames < 6000
    # That whose picture was not yet made when the signal came is in the results alone.
    assert num_frames - len(read_video(output / "clip.mp4")[0]) in (0, 1)


# Long runs


def test_run_goes_on_after_an_interruption(run, photos, tmp_path, capsys, monkeypatch):
    (photos / "b.jpg").rename(photos / "z.jpg")
    (photos / "b.jpg").write_bytes(b"")
    options = ["--input", photos, "--save", "json", "yolo", "--batch-size", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "write_image", interrupt_at("z.jpg"))
        assert run(*options, "--resume") == 130
    assert "run.json does not exist: nothing to resume" in capsys.readouterr().out
    assert run(*options, "--resume") == 1  # for the image that cannot be read
    printed = capsys.readouterr()
    assert "2 of 4 inputs are done: going on after them" in printed.out
    assert "3 of 4 images: " in printed.out
    (failure,) = printed.err.strip().splitlines()
    assert str(photos / "b.jpg") in failure
    names = [record["file"] for record in read_json(tmp_path / "out/detections.json")]
    assert names == [str(photos / name) for name in ("a.jpg", "x/a.jpg", "z.jpg")]
    labels = tmp_path / "out/yolo/labels"
    assert len(list(labels.rglob("*.txt"))) == 3

    shutil.copy(photos / "a.jpg", photos / "c.jpg")
    before = (tmp_path / "out/detections.json").read_bytes()
    for change, message in (
        ([], "number of inputs was 4, is 5; list of inputs changed"),
        (["--threshold", "0.6"], "--threshold was 0.5, is 0.6"),
        (["--opts", "TEST.DETECTIONS_PER_IMAGE", "7"], "config changed"),
    ):
        assert run(*options, "--resume", *change) == 1
        assert message in capsys.readouterr().err
    assert (tmp_path / "out/detections.json").read_bytes() == before


def interrupt_at(name: str):
    def write_image(self, frame, picture):
        if frame.source.path.name == name:
            raise KeyboardInterrupt

    return write_image


def test_other_weights_are_refused(run, photos, model, tmp_path, capsys):
    assert run("--input", photos, "--no-pictures") == 0
    checkpoint = torch.load(model / "model.pth", weights_only=True)
    name = next(iter(checkpoint["model"]))
    checkpoint["model"][name] = checkpoint["model"][name] + 1
    torch.save(checkpoint, tmp_path / "other.pth")
    options = ["--input", photos, "--no-pictures", "--resume", "--weights"]
    assert run(*options, tmp_path / "other.pth") == 1
    assert "of a run with other settings (weights changed)" in capsys.readouterr().err
    shutil.copy(model / "model.pth", tmp_path / "same.pth")  # the name of the file is no matter
    assert run(*options, tmp_path / "same.pth") == 0
    assert "3 of 3 inputs are done" in capsys.readouterr().out


def test_run_that_did_not_end_is_made_anew_only_with_a_word(run, photos, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "write_image", interrupt_at("b.jpg"))
        assert run("--input", photos) == 130
    assert run("--input", photos) == 0
    assert "did not come to its end: it is made anew; --resume would" in capsys.readouterr().out


def test_shards_are_joined(run, photos, tmp_path, capsys):
    options = ["--input", photos, "--save", "json", "coco", "--no-pictures"]
    for shard in ("2/2", "1/2"):
        assert main(["join", str(tmp_path / "out")]) == 1
        assert run(*options, "--shard", shard) == 0
    printed = capsys.readouterr()
    assert "1 of 1 images: " in printed.out and "2 of 2 images: " in printed.out
    assert "nothing to join" in printed.err and "1 have not begun: run --shard 1/2" in printed.err
    assert main(["join", str(tmp_path / "out")]) == 0
    names = [record["file"] for record in read_json(tmp_path / "out/detections.json")]
    assert names == [str(photos / name) for name in ("a.jpg", "x/a.jpg", "b.jpg")]
    images = read_json(tmp_path / "out/coco_images.json")["images"]
    assert [image["id"] for image in images] == [1, 3, 2]
    assert "2 shards of 3 inputs -> " in capsys.readouterr().out


# Masks of training images


@pytest.mark.parametrize("with_masks", [True, False])
def test_weak_masks_of_training_images_are_drawn(run, sample_dataset, tmp_path, with_masks):
    files = wider_face_files(sample_dataset, "train")
    image = next(Path(files["image_dir"]).rglob("*.jpg"))
    name = f"{image.parent.name}/{image.stem}"
    overrides = ["DATASETS.TRAIN", "('demo_train',)"]
    overrides += ["MODEL.SHOT.WEAK_MASK.ENABLED", str(with_masks)]
    with registered(demo_train=files):
        assert run("--weak-masks", name, "--opts", *overrides) == 0
    path = tmp_path / f"out/weak_masks_{image.parent.name}_{image.stem}.png"
    picture = np.array(Image.open(path).convert("RGB"))
    # Six panels side by side: the targets, and beneath them what the branch predicts.
    assert (picture.shape[0] > 500) == with_masks
    assert picture.shape[1] > 1500
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 1000


def test_weak_masks_of_an_unknown_image_are_refused(run, sample_dataset, capsys):
    with registered(demo_train=wider_face_files(sample_dataset, "train")):
        assert run("--weak-masks", "no/image", "--opts", "DATASETS.TRAIN", "('demo_train',)") == 1
    assert "'no/image' is not an image of demo_train" in capsys.readouterr().err
