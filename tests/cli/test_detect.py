"""Options of ``df2s2 detect``; its runs are tested through demo.py, which is the same."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from df2s2_d2.cli import detect
from df2s2_d2.cli.program import build_parser, main
from df2s2_d2.evaluation.protocol import read_protocol
from df2s2_d2.inference import detector_options
from df2s2_d2.inference.detector_options import DEFAULT_MODEL, DetectorOptions
from df2s2_d2.inference.fast_path import PRECISIONS
from df2s2_d2.inference.media import face_search, picture_options, privacy, result_options
from df2s2_d2.inference.media.picture_options import PictureOptions
from df2s2_d2.inference.media.result_formats import RESULT_FORMATS
from df2s2_d2.inference.media.result_options import ResultOptions
from df2s2_d2.inference.media.source_options import SourceOptions
from df2s2_d2.inference.media.sources import LiveOptions
from df2s2_d2.inference.media.tracking_options import TrackingOptions
from df2s2_d2.inference.ray_options import RayOptions
from df2s2_d2.models import local_file


def parse(*words: str) -> SimpleNamespace:
    """The options of a command line, by what they are about."""
    args = build_parser(detect, "df2s2 detect").parse_intermixed_args(words)
    results = ResultOptions.from_args(args)
    return SimpleNamespace(
        detector=DetectorOptions.from_args(args),
        sources=SourceOptions.from_args(args),
        results=results,
        pictures=PictureOptions.from_args(args),
        tracking=TrackingOptions.from_args(args, results.formats),
    )


def test_inputs_stand_anywhere_and_overrides_come_last():
    command = (
        "a --config-file c.yaml --output o b --threshold 0.3 --input c d --opts MODEL.WEIGHTS w"
    )
    options = parse(*command.split())
    assert options.sources == SourceOptions(["a", "b", "c", "d"], None)
    assert options.detector.config_file == "c.yaml"
    assert options.detector.overrides == ["MODEL.WEIGHTS", "w"]
    assert options.results.folder == Path("o")
    assert options.pictures.threshold == 0.3


def test_options_of_several_values_may_be_repeated():
    options = parse(*"a --input b c --save csv --input d --save voc json".split())
    assert options.sources.inputs == ["a", "b", "c", "d"]
    assert options.results.formats == ["csv", "voc", "json"]


def test_defaults_are_the_shipped_model_and_a_folder_below_this_one():
    options = parse("a")
    assert options.detector.weights == DEFAULT_MODEL
    assert Path(local_file(DEFAULT_MODEL)).is_file()
    assert options.results == ResultOptions(Path("found"), ["json"], 0.01, None)
    assert parse("a", "--weights", "w.pth").detector.weights == "w.pth"
    # A config may name its weights itself.
    assert parse("a", "--config-file", "c.yaml").detector.weights is None


def test_faces_are_shown_above_a_half_and_hidden_above_less():
    for words, threshold, boxes in (
        ([], 0.5, True),
        (["--blur"], 0.2, False),
        (["--blur", "fill", "--boxes"], 0.2, True),
        (["--blur", "--threshold", "0.4"], 0.4, False),
    ):
        options = parse("a", *words)
        assert (options.pictures.threshold, options.pictures.draws_boxes) == (threshold, boxes)
        assert options.results.score_threshold == 0.01


def test_streams_are_tried_again_for_a_minute():
    assert parse("a").sources.live == LiveOptions(60, None)
    options = parse("rtsp://camera/1", "--reconnect", "5", "--duration", "0.5").sources
    assert options == SourceOptions(["rtsp://camera/1"], None, LiveOptions(5, 0.5))
    assert parse("--webcam", "0", "--duration", "9").sources.live.duration == 9


def test_faces_are_followed_for_a_second_unless_told_otherwise():
    for words, is_written, max_gap in (
        ([], False, 1.0),
        (["--track"], True, 1.0),
        (["--track", "--save", "wider", "csv", "--max-gap", "0"], True, 0.0),
        (["--blur", "--max-gap", "2.5"], False, 2.5),
    ):
        assert parse("a", *words).tracking == TrackingOptions(is_written, max_gap)


@pytest.mark.parametrize(
    ("words", "lowest"),
    [
        ("", 0.01),
        ("--write-threshold 0.8", 0.5),
        ("--write-threshold 0.8 --track", 0.125),
        ("--write-threshold 0.8 --blur", 0.05),
        ("--write-threshold 0.1 --blur --threshold 0.8", 0.1),
        ("--write-threshold 0.8 --blur --threshold 0.02", 0.01),
    ],
)
def test_faces_that_are_written_shown_or_followed_are_asked_for(words, lowest):
    options = parse("a", *words.split())
    found = face_search.lowest_score(options.results, options.pictures, options.tracking)
    assert found == lowest


def test_margin_of_crops_and_style_may_be_left_out():
    plain = parse("a").pictures
    assert (plain.crop_margin, plain.hide) == (None, None)
    assert parse("a", "--crops").pictures.crop_margin == 0.3
    assert parse("a", "--crops", "0").pictures.crop_margin == 0
    assert parse("a", "--blur").pictures.hide == "pixelate"
    assert parse("a", "--save").results.formats == []


def test_runs_over_a_cluster_have_formats_of_their_own():
    args = build_parser(detect, "df2s2 detect").parse_intermixed_args(
        ["s3://b/a", "--ray", "auto", "--output", "s3://b/found", "--save", "jsonl", "jsonl"]
    )
    assert RayOptions.from_args(args) == RayOptions("auto", None, "s3://b/found", ["jsonl"], False)
    args = build_parser(detect, "df2s2 detect").parse_intermixed_args(
        ["a", "--ray", "local", "--ray-workers", "3", "--resume"]
    )
    assert RayOptions.from_args(args) == RayOptions("local", 3, "found", ["parquet"], True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "give images or videos, or a camera by --webcam"),
        ("a --blur --crops", "--crops writes the very faces that --blur hides"),
        ("a --blur --no-pictures", "--blur changes pictures"),
        ("a --threshold 50", "expected a number from 0 to 1, found 50"),
        ("a --batch-size 0", "expected a whole number from 1, found 0"),
        ("a --batch-size x", "expected a whole number from 1, found x"),
        ("a --track --save wider coco", "--track is for json, jsonl, csv: add one of them"),
        ("a --max-gap 2", "--max-gap changes what --track and --blur do: add one of them"),
        ("a --blur --max-gap 61", "expected a number from 0 to 60, found 61"),
        ("a --coco-ground-truth g.json", "--coco-ground-truth changes coco.json"),
        ("--webcam 0 --show", "--show needs a display, and there is none"),
        ("--webcam 0 --resume", "--resume and --shard are for files"),
        ("--webcam 0 --shard 1/2", "--resume and --shard are for files"),
        ("rtsp://camera/1 --resume", "--resume and --shard are for files"),
        ("a --input rtsp://camera/1 --shard 1/2", "--resume and --shard are for files"),
        ("a.mp4 --duration 5", "--duration is for cameras and streams"),
        ("a.mp4 --reconnect 5", "--reconnect is for streams"),
        ("--webcam 0 --reconnect 0", "--reconnect is for streams"),
        ("https://host/a.jpg --ray local --reconnect 5", "--reconnect is for runs in one process"),
        ("--webcam 0 --duration -1", "expected a number from 0 to 31622400, found -1"),
        ("--webcam 0 --ray local", "--webcam is for runs in one process"),
        ("a --ray local --blur", "--blur is for runs in one process: leave out either it or --ray"),
        ("a --ray local --crops 0", "--crops is for runs in one process"),
        ("a --ray local --track", "--track is for runs in one process"),
        ("a --ray local --max-gap 2", "--max-gap is for runs in one process"),
        ("a --ray local --no-boxes", "--boxes is for runs in one process"),
        ("a --ray local --shard 1/2", "--ray shares the images out by itself: leave out --shard"),
        ("a --ray ray://host:10001", "Ray Data does not run through the client of ray://"),
        ("a --ray local --save csv", "with --ray results are parquet or jsonl, found csv"),
        ("a --ray local --save", "with --ray results are parquet or jsonl, found none"),
        ("a --ray local --ray-workers 0", "expected a whole number from 1, found 0"),
        ("a --ray-workers 2", "--ray-workers is for runs over a cluster: add --ray local"),
        ("a --save parquet", "--save parquet is for runs over a cluster"),
        ("a --output s3://b/found", "--output s3://b/found is for runs over a cluster"),
        ("a --shard 3/2", "argument --shard: expected the number of this run and that of all"),
    ],
)
def test_wishes_that_contradict_are_refused(monkeypatch, capsys, words, message):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["detect", *words.split()])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--crops photo.jpg", "argument --crops: expected a number from 0 to 10, found photo.jpg"),
        ("--no-pictures --blur photo.jpg", "argument --blur: invalid choice: 'photo.jpg'"),
        ("--save json photo.jpg", "argument --save: invalid choice: 'photo.jpg'"),
    ],
)
def test_inputs_that_an_option_took_are_told(capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        main(["detect", *words.split()])
    assert caught.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    option = words.split()[-2 if "save" not in words else 0]
    assert message in line
    assert line.endswith(f"({option} takes the words behind it: put what it is not for before it)")


def test_ground_truth_is_read_before_anything_is_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(face_search, "Predictor", None)  # which is not to be built
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    found, ground_truth = tmp_path / "found/detections.json", tmp_path / "bad.json"
    found.parent.mkdir()
    found.write_text("[]")
    (tmp_path / "found/run.json").write_text("{}")
    ground_truth.write_text("[]")
    command = f"{tmp_path}/a.png --output {found.parent} --save json coco --coco-ground-truth"
    assert main(["detect", *command.split(), str(ground_truth)]) == 1
    assert f"{ground_truth} gives no ids of images" in capsys.readouterr().err
    assert found.read_text() == "[]"
    names = {path.name for path in found.parent.iterdir()}
    assert {"detections.json", "run.json"} <= names and "coco.json" not in names


def test_choices_are_those_of_what_they_configure():
    """They are named twice, as what they configure takes long to load."""
    assert tuple(result_options.FORMATS) == tuple(RESULT_FORMATS)
    assert picture_options.HIDING_STYLES == privacy.STYLES
    assert detector_options.PRECISIONS == ("auto", *PRECISIONS)


def test_examples_in_the_help_are_understood():
    lines = [line for line in detect.__doc__.splitlines() if line.startswith("  df2s2 detect")]
    assert len(lines) > 5
    for line in lines:
        words = [word for word in shlex.split(line)[2:] if word != "--show"]
        assert parse(*words).sources


def test_published_tests_have_no_tiles():
    def searched(*options: str):
        return face_search.detector_config(parse("photo.png", *options).detector, 0.01)

    published = searched("--opts", "TEST.PROTOCOL", "df2s2-single-scale")
    assert face_search.tile_above(published) == 0
    assert face_search.tile_above(searched()) == 4096


def test_faces_are_found_with_nothing_but_a_path(tmp_path, monkeypatch, capsys):
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 48), "gray").save("photo.png")
    assert main(["detect", "photo.png"]) == 0
    protocol, summary = capsys.readouterr().out.splitlines()
    assert summary.endswith("-> found")
    assert protocol == f"[{read_protocol('found/detections.json').describe()}]"
    assert protocol.startswith("[multi-scale {320, 832}, merged by NMS, ")
    assert "NMS, longer than 4096 pixels also in tiles, score > 0.01, " in protocol
    (record,) = json.loads(Path("found/detections.json").read_text())
    assert (record["file"], record["width"], record["height"]) == ("photo.png", 64, 48)
    assert Path("found/photo.png").is_file()


def test_what_stands_beside_results_is_of_their_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 48), "gray").save("photo.png")
    words = ["detect", "photo.png", "--save", "json", "csv"]
    assert main(words) == 0
    found = Path("found")
    before = {path.name: path.read_bytes() for path in found.iterdir()}
    assert {"run.json", "protocol.json", "detections.json", "detections.csv"} <= before.keys()

    # A run that cannot start leaves all of the earlier one.
    (found / "coco_images.json").mkdir()
    assert main([*words, "coco", "--write-threshold", "0.6"]) == 1
    assert "coco_images.json" in capsys.readouterr().err
    (found / "coco_images.json").rmdir()
    assert {path.name: path.read_bytes() for path in found.iterdir()} == before

    # One that breaks off says how it was made, with the results that it has.
    def break_off(self) -> None:
        raise OSError("no more room")

    monkeypatch.setattr(face_search.FaceFinding, "run", break_off)
    assert main([*words, "--write-threshold", "0.6"]) == 1
    assert json.loads((found / "detections.json").read_text()) == []
    assert read_protocol(found / "detections.json").score_threshold == 0.6
