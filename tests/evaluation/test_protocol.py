from __future__ import annotations

import json

import pytest

from df2s2_d2.evaluation.protocol import (
    Protocol,
    describe_protocol,
    read_protocol,
    short_sha256,
    write_protocol,
)
from df2s2_d2.evaluation.results import results_to_json

FULL = Protocol(
    resize="original size",
    scales=("x0.5", "x1", "x2"),
    flip=True,
    score_threshold=0.01,
    nms_threshold=0.3,
    max_detections=750,
    weights="model_final.pth",
    weights_sha256="ba7816bf8f01",
)


@pytest.mark.parametrize(
    ("protocol", "line"),
    [
        (
            FULL,
            "multi-scale {x0.5, x1, x2} + flip, score > 0.01, NMS 0.3, 750 boxes, "
            "weights model_final.pth (sha256 ba7816bf8f01)",
        ),
        (Protocol("short side 800", flip=True), "short side 800 + flip"),
        (Protocol("VGA", weights="iteration 39"), "VGA, weights iteration 39"),
        (None, "protocol unknown"),
    ],
)
def test_one_line_says_what_is_known(protocol, line):
    assert describe_protocol(protocol) == line


def test_hash_is_that_of_the_file(tmp_path):
    # The standard's example of two blocks, and a million times "a": more than is read at once.
    (tmp_path / "two").write_bytes(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    (tmp_path / "many").write_bytes(b"a" * 1_000_000)
    assert short_sha256(tmp_path / "two") == "248d6a61d206"
    assert short_sha256(tmp_path / "many") == "cdc76e5c9914"


def test_results_beside_the_detections_they_name(tmp_path):
    text = results_to_json({"wider_face": {"AP_hard": 0.5}}, {}, FULL, detections="found")
    (tmp_path / "results.json").write_text(text)
    assert read_protocol(tmp_path / "found") == FULL
    assert read_protocol(tmp_path / "others.zip") is None
    (tmp_path / "results.json").write_text(results_to_json({}, {}, None, detections="found"))
    assert read_protocol(tmp_path / "found") is None
    assert read_protocol(tmp_path / "nowhere" / "found") is None


def test_protocol_file_speaks_for_its_folder(tmp_path, monkeypatch):
    (tmp_path / "protocol.json").write_text('{"resize": "VGA", "nms_threshold": 0.4}')
    expected = Protocol("VGA", nms_threshold=0.4)
    assert read_protocol(tmp_path / "any.zip") == expected
    monkeypatch.chdir(tmp_path)
    assert read_protocol("any.zip") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"protocol\.json, line 1, column 2: expected JSON"),
        ("[]", r"protocol\.json: expected a JSON object, found \[\]"),
        ('{"flip": true}', r"protocol\.json: a protocol .* the key 'resize'"),
        ('{"resize": "VGA", "scale": 2}', r"found \{'resize': 'VGA', 'scale': 2\}"),
        (
            '{"resize": "VGA", "flip": "no"}',
            r"protocol\.json: the protocol's 'flip' cannot be 'no'",
        ),
        ('{"resize": "VGA", "scales": 2}', "the protocol's 'scales' cannot be 2"),
    ],
)
def test_wrong_protocol_files_are_named(tmp_path, text, message):
    (tmp_path / "protocol.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_protocol(tmp_path / "found")


def test_who_reads_a_protocol_while_another_is_written_has_all_of_one(tmp_path):
    write_protocol(FULL, tmp_path)
    with (tmp_path / "protocol.json").open() as file:
        write_protocol(Protocol("VGA"), tmp_path)
        assert json.load(file) == FULL.to_dict()
    assert read_protocol(tmp_path / "found") == Protocol("VGA")
    assert [path.name for path in tmp_path.iterdir()] == ["protocol.json"]


def test_results_are_plain_json_with_null_for_nan():
    figures = {"wider_face": {"AP_easy": float("nan")}, "fddb": {"disc": {"100": 0.25}}}
    document = json.loads(results_to_json(figures, {"images": 3}, FULL, dataset="mine"))
    assert document.pop("protocol")["scales"] == ["x0.5", "x1", "x2"]
    assert document == {
        "wider_face": {"AP_easy": None},
        "fddb": {"disc": {"100": 0.25}},
        "dataset": "mine",
        "counts": {"images": 3},
    }


def test_what_is_left_of_higher_scores_is_no_published_test():
    published = Protocol("original size", score_threshold=0.01, name="dsfd-single-scale")
    assert published.above(0.01) is published
    assert published.above(0.005) is published
    assert published.above(0.5) == Protocol("original size", score_threshold=0.5)
