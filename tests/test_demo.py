from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from PIL import Image

import demo
from df2s2_d2.visualization import FACE_COLOR, draw_detections
from tests.small_runs import SMALLEST_CONFIG, registered, smallest_config, wider_face_files


class FixedFaces(torch.nn.Module):
    """Stands for a detector: the same boxes in every image; remembers the images."""

    def __init__(self, boxes: list[list[float]], scores: list[float]):
        super().__init__()
        self.found = torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores)
        self.seen: list[dict] = []

    def forward(self, inputs: list[dict]) -> list[dict]:
        self.seen += inputs
        boxes, scores = self.found
        sizes = [(one["height"], one["width"]) for one in inputs]
        return [{"instances": Instances(s, pred_boxes=Boxes(boxes), scores=scores)} for s in sizes]


@pytest.fixture
def photo():
    """(60, 90, 3) uint8 of smooth random colours, in which nothing is green like a drawn box."""
    image = np.random.default_rng(0).integers(60, 120, (3, 3, 3)).astype(np.uint8)
    return np.array(Image.fromarray(image).resize((90, 60), Image.Resampling.BICUBIC))


@pytest.fixture
def cfg():
    return smallest_config(INPUT__MIN_SIZE_TEST=0)


def is_green(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: where the green of a drawn box dominates."""
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    return (green > red + 60) & (green > blue + 60)


def draw(cfg, paths: list[Path], output: Path, threshold: float = 0.5, scores=(0.9,)):
    model = FixedFaces([[20.0, 10, 60, 50]] * len(scores), list(scores))
    return demo.draw_faces(cfg, model, paths, output, threshold), model


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


# Which images


def test_inputs_are_files_and_folders_with_all_below(tmp_path):
    for name in ("b/two.PNG", "b/c/three.jpeg", "b/notes.txt", "one.jpg", "odd.name"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = demo.find_images([str(tmp_path / "odd.name"), str(tmp_path / "b")])
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "odd.name",
        "b/c/three.jpeg",
        "b/two.PNG",
    ]


def test_input_that_gives_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.jpg does not exist"):
        demo.find_images([str(tmp_path / "absent.jpg")])
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no image"):
        demo.find_images([str(tmp_path)])


def test_command_line_is_parsed(monkeypatch):
    command = "demo.py --config-file c.yaml --output o --threshold 0.3 --input a b --opts"
    monkeypatch.setattr(sys, "argv", [*command.split(), "MODEL.WEIGHTS", "w.pth"])
    args = demo.parse_arguments()
    assert (args.config_file, args.input, args.output) == ("c.yaml", ["a", "b"], Path("o"))
    assert args.threshold == 0.3
    assert args.opts == ["MODEL.WEIGHTS", "w.pth"]


# What is drawn


def test_broken_image_stops_nothing_and_is_reported(cfg, photo, tmp_path):
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(photo).save(inputs / f"{name}.jpg")
    whole = (inputs / "b.jpg").read_bytes()
    (inputs / "b.jpg").write_bytes(whole[: len(whole) // 2])
    failures, _ = draw(cfg, demo.find_images([str(inputs)]), output)
    assert sorted(path.name for path in output.iterdir()) == ["a.jpg", "c.jpg"]
    (failure,) = failures
    assert str(inputs / "b.jpg") in failure and "\n" not in failure


def test_every_kind_of_image_is_drawn_in_its_own_size(cfg, photo, tmp_path):
    colour = Image.fromarray(photo)
    colour.convert("L").save(tmp_path / "grey.png")
    colour.convert("RGBA").save(tmp_path / "alpha.png")
    colour.convert("P").save(tmp_path / "palette.png")
    Image.fromarray(photo.astype(np.uint16)[..., 0] * 200).save(tmp_path / "deep.png")
    paths = sorted(tmp_path.glob("*.png"))
    assert len(paths) == 4
    failures, model = draw(cfg, paths, tmp_path / "out")
    assert failures == []
    for path, inputs in zip(paths, model.seen, strict=True):
        assert inputs["image"].shape == (3, 60, 90)
        picture = read(tmp_path / "out" / f"{path.stem}.jpg")
        assert picture.shape == (60, 90, 3)
        assert is_green(picture).sum() > 50, path.name


def test_rotated_photograph_is_drawn_upright(cfg, photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    path = tmp_path / "rotated.jpg"
    Image.fromarray(photo).save(path, exif=exif, quality=95)
    failures, model = draw(cfg, [path], tmp_path / "out", scores=())
    assert failures == []
    upright = np.rot90(photo, -1)
    assert (model.seen[0]["height"], model.seen[0]["width"]) == upright.shape[:2] == (90, 60)
    picture = read(tmp_path / "out/rotated.jpg").astype(int)
    assert np.abs(picture - upright).mean() < 4


def test_box_lies_where_it_was_found_also_if_the_image_was_resized(photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    _, model = draw(smallest_config(INPUT__MIN_SIZE_TEST=180), [path], tmp_path / "out")
    assert model.seen[0]["image"].shape == (3, 180, 270)
    rows, columns = np.nonzero(is_green(read(tmp_path / "out/photo.jpg")))
    box = columns.min(), rows.min(), columns.max(), rows.max()
    np.testing.assert_allclose(box, [20, 10, 60, 50], atol=3)


def test_only_scores_above_the_threshold_are_drawn(cfg, photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    for threshold, is_drawn in ((0.6, False), (0.4, True)):
        draw(cfg, [path], tmp_path / "out", threshold, scores=(0.5,))
        assert is_green(read(tmp_path / "out/photo.jpg")).any() == is_drawn


def test_inputs_of_one_name_do_not_overwrite_each_other(cfg, tmp_path):
    paths = []
    # The last name is the one that a number would give to the second.
    for number, name in enumerate(("a/face.png", "b/face.png", "c/face.jpg", "d/face_1.png")):
        path = tmp_path / name
        path.parent.mkdir()
        Image.fromarray(np.full((60, 90, 3), 50 * number, np.uint8)).save(path)
        paths.append(path)
    failures, _ = draw(cfg, paths, tmp_path / "out", scores=())
    assert failures == []
    shades = [round(read(path).mean() / 50) for path in (tmp_path / "out").iterdir()]
    assert sorted(shades) == [0, 1, 2, 3]


def test_opacity_of_a_box_is_its_score(photo):
    grey = np.full((100, 300, 3), 40, np.uint8)
    boxes = torch.tensor([[10.0, 10, 90, 90], [110, 10, 190, 90], [210, 10, 290, 90]])
    scores = torch.tensor([1.0, 0.5, 0.1])
    picture = draw_detections(
        grey, Instances((100, 300), pred_boxes=Boxes(boxes), scores=scores)
    ).astype(float)
    assert picture.shape == grey.shape
    # The strongest green along the middle of each box's left edge, between grey and full colour.
    edges = [picture[40:60, x - 4 : x + 5, 1].max(axis=1).mean() for x in (10, 110, 210)]
    opacity = (np.array(edges) - 40) / (255 * FACE_COLOR[1] - 40)
    np.testing.assert_allclose(opacity, scores, atol=0.06)
    untouched = picture[30:70, 30:70]
    np.testing.assert_array_equal(untouched, 40)


def test_annotated_faces_are_drawn_beneath_in_another_colour():
    grey = np.full((100, 100, 3), 40, np.uint8)
    nothing = Instances((100, 100), pred_boxes=Boxes(torch.zeros(0, 4)), scores=torch.zeros(0))
    picture = draw_detections(grey, nothing, np.array([[20.0, 20, 80, 80]])).astype(int)
    red = picture[..., 0] > picture[..., 1] + 60
    rows, columns = np.nonzero(red)
    box = columns.min(), rows.min(), columns.max(), rows.max()
    np.testing.assert_allclose(box, [20, 20, 80, 80], atol=3)


# The whole script


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint of the tiny detector, untrained."""
    path = tmp_path_factory.mktemp("demo") / "model.pth"
    torch.manual_seed(0)
    torch.save({"model": build_model(smallest_config()).state_dict()}, path)
    return path


@pytest.fixture
def run_main(monkeypatch, weights):
    """Function that runs demo.py with the tiny detector."""

    def run(*arguments: str | Path, **overrides) -> None:
        cfg = smallest_config(**{"MODEL__WEIGHTS": str(weights), **overrides})
        monkeypatch.setattr(demo, "load_config", lambda *_: cfg)
        command = ["demo.py", "--config-file", SMALLEST_CONFIG, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        demo.main()

    return run


def test_missing_weights_are_asked_for(run_main, tmp_path):
    with pytest.raises(SystemExit, match="^demo.py: no trained model is given"):
        run_main("--input", tmp_path, "--output", tmp_path, MODEL__WEIGHTS="")


def test_script_lists_failures_and_exits_with_an_error(run_main, sample_dataset, tmp_path, capsys):
    inputs = tmp_path / "in"
    inputs.mkdir()
    images = sorted((sample_dataset / "wider_face/WIDER_val/images").rglob("*.jpg"))[:2]
    for path in images:
        shutil.copy(path, inputs)
    (inputs / "broken.jpg").write_bytes(images[0].read_bytes()[:500])
    with pytest.raises(SystemExit) as caught:
        run_main("--input", inputs, "--output", tmp_path / "out")
    assert isinstance(caught.value.code, str)  # printed to stderr; the exit code is 1
    assert str(inputs / "broken.jpg") in caught.value.code
    assert "2 of 3 images drawn" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_script_ends_well_without_failures(run_main, sample_dataset, tmp_path, capsys):
    image = next((sample_dataset / "wider_face/WIDER_val/images").rglob("*.jpg"))
    run_main("--input", image, "--output", tmp_path / "out")
    assert "1 of 1 images drawn" in capsys.readouterr().out


def test_missing_input_is_one_sentence(run_main, tmp_path):
    with pytest.raises(SystemExit, match="^demo.py: The input absent.jpg does not exist$"):
        run_main("--input", "absent.jpg", "--output", tmp_path / "out")


def test_script_needs_weights_that_exist(run_main, tmp_path):
    with pytest.raises(SystemExit, match="^demo.py: MODEL.WEIGHTS is 'absent.pth'"):
        run_main("--input", tmp_path, "--output", tmp_path, MODEL__WEIGHTS="absent.pth")


@pytest.mark.parametrize("with_masks", [True, False])
def test_weak_masks_of_training_images_are_drawn(run_main, sample_dataset, tmp_path, with_masks):
    files = wider_face_files(sample_dataset, "train")
    image = next(Path(files["image_dir"]).rglob("*.jpg"))
    name = f"{image.parent.name}/{image.stem}"
    with registered(demo_train=files):
        run_main(
            *("--weak-masks", name, "--output", tmp_path),
            DATASETS__TRAIN=("demo_train",),
            MODEL__SHOT__WEAK_MASK__ENABLED=with_masks,
        )
        picture = read(tmp_path / f"weak_masks_{image.parent.name}_{image.stem}.png")
    # Six panels side by side: the targets, and beneath them what the branch predicts.
    assert (picture.shape[0] > 500) == with_masks
    assert picture.shape[1] > 1500
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 1000


def test_weak_masks_of_an_unknown_image_are_refused(run_main, sample_dataset, tmp_path):
    with (
        registered(demo_train=wider_face_files(sample_dataset, "train")),
        pytest.raises(SystemExit, match="'no/image' is not an image of demo_train"),
    ):
        run_main(
            *("--weak-masks", "no/image", "--output", tmp_path), DATASETS__TRAIN=("demo_train",)
        )


def test_pictures_do_not_depend_on_the_working_directory(cfg, photo, tmp_path, monkeypatch):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    failures, _ = draw(cfg, [Path("photo.png")], Path("out"))
    assert failures == [] and os.listdir("out") == ["photo.jpg"]
