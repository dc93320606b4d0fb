from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from df2s2_d2.analysis.anchor_report import statistics_table
from df2s2_d2.analysis.anchor_statistics import AnchorStatistics
from df2s2_d2.analysis.annotated_images import add_image_sizes, load_records
from tests.analysis.plain_anchors import CONFIG, PLAIN

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_script(run_tool):
    return partial(run_tool, "analyze_anchors")


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """Annotations of three images, in two of which there are faces, and their sizes."""
    annotations, sizes = tmp_path / "faces.txt", tmp_path / "sizes.csv"
    annotations.write_text(
        "a/1.jpg\n2\n50 50 16 16\n12 92 16 16\na/2.jpg\n1\n100 16 4 4\na/3.jpg\n0\n0 0 0 0\n"
    )
    sizes.write_text("image,width,height\na/1.jpg,128,128\na/2.jpg,128,128\na/3.jpg,128,128\n")
    return {"annotations": annotations, "sizes": sizes}


def test_script_compares_configs(run_script, files, tmp_path):
    overrides = [str(part) for pair in PLAIN.items() for part in pair]
    other = tmp_path / "no_low_quality.yaml"
    other.write_text(
        f"_BASE_: {CONFIG}\nMODEL: {{SHOT: {{MATCHING: {{ALLOW_LOW_QUALITY_MATCHES: False}}}}}}\n"
    )
    run = run_script(
        *("--config-file", CONFIG, other, "--annotations", files["annotations"]),
        *("--image-sizes", files["sizes"], "--output", tmp_path / "out", "--opts", *overrides),
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    assert [line[1:3] for line in lines if line[:1] == ["all"]] == [["3", "6.00"], ["3", "3.00"]]
    summaries = json.loads((tmp_path / "out/anchors.json").read_text())
    assert [summaries[path]["all"]["mean_anchors"] for path in (CONFIG, str(other))] == [6, 3]
    assert summaries[CONFIG]["images"] == 3
    with Image.open(tmp_path / "out/anchors.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 20)) > 10


def test_table_leaves_out_sizes_without_faces():
    statistics = AnchorStatistics(1, np.array([16.0]), np.array([16.0]), np.array([1500]))
    header, _, everything, size = statistics_table("name", statistics.summary()).splitlines()
    assert header == "name: 1 images, anchor sizes 16"
    assert everything.split()[1:] == size.split()[1:]
    assert everything.split() == ["all", "1", "1500.00", *["0.0%"] * 4, "100.0%", "100.0%"]


def test_sizes_come_from_headers_upright(tmp_path):
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a/1.jpg")
    Image.new("RGB", (30, 20)).save(tmp_path / "a/2.jpg", exif=exif)
    (tmp_path / "faces.txt").write_text("a/1.jpg\n0\na/2.jpg\n0\n")
    records = load_records(str(tmp_path / "faces.txt"), str(tmp_path))
    add_image_sizes(records, None)
    assert [(r["width"], r["height"]) for r in records] == [(30, 20), (20, 30)]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("image,width,height\na/1.jpg,128,128\n", "The size of a/2 is not known.*--image-sizes"),
        ("image,width,height\na/1.jpg,128,x\n", "sizes.csv, line 2: expected .*'128,x'"),
        ("image,width,height\na/1.jpg,128,0\n", "sizes.csv, line 2: expected .*'128,0'"),
        ("name,w,h\na/1.jpg,128,128\n", "sizes.csv, line 1: expected the columns image"),
        ("image,width,height\na/1.jpg,128\n", "sizes.csv, line 2: expected"),
    ],
)
def test_sizes_that_are_missing_or_wrong_are_told(files, sizes, message):
    files["sizes"].write_text(sizes)
    records = load_records(str(files["annotations"]), "")
    with pytest.raises(ValueError, match=message):
        add_image_sizes(records, str(files["sizes"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-file", "absent.yaml"], "absent.yaml"),
        (["--annotations", "absent.txt"], "No such file or directory: 'absent.txt'"),
        (["--annotations", "list.txt"], "list.txt lists images without faces"),
        (["--samples", "0"], "--samples: expected a number above 0; found 0"),
        (["--opts", "DATASETS.TRAIN", "('none',)"], "no data set that is registered, but 'none'"),
    ],
)
def test_errors_are_one_line(run_script, files, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a/1.jpg\na/2.jpg\n")
    if arguments[0] != "--opts":
        arguments = ["--annotations", str(files["annotations"]), *arguments]
    run = run_script("--config-file", CONFIG, *arguments)
    assert run.returncode == 1
    assert message in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.real_data
def test_improved_anchor_matching_on_the_official_annotations(run_script, shared_data, tmp_path):
    """The paper's mean with improved anchor matching is about 6.9."""
    folder = shared_data / "official/wider_face/wider_face_split"
    run = run_script(
        *("--config-file", REPOSITORY / "configs/DSFD/DSFD_R101.yaml"),
        *("--annotations", folder / "wider_face_train_bbx_gt.txt"),
        *("--image-sizes", folder / "image_sizes.csv"),
        *("--output", tmp_path, "--samples", 1500),
    )
    assert run.returncode == 0, run.stderr
    (summary,) = json.loads((tmp_path / "anchors.json").read_text()).values()
    assert summary["images"] == 1500 and summary["all"]["faces"] > 5000
    assert abs(summary["all"]["mean_anchors"] - 6.9) < 0.25
    # Between 16 and 512 pixels a face matches as many anchors whatever its size.
    means = {row["size"]: row["mean_anchors"] for row in summary["by_size"]}
    for size in ("16-32", "32-64", "64-128", "128-256"):
        assert abs(means[size] - 7.9) < 0.3
