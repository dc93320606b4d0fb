from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from detectron2.data.detection_utils import convert_image_to_rgb
from PIL import Image

from df2s2_d2 import load_config
from df2s2_d2.cli.program import main
from df2s2_d2.data import FaceDatasetMapper, build_mosaic, build_train_loader
from df2s2_d2.modeling.targets import POSITIVE, GroundTruth
from df2s2_d2.visualization.training_pictures import FACE, draw_sample
from df2s2_d2.visualization.training_samples import LevelTargets, TrainingSample, load_samples
from tests.pages.html_outline import Outline
from tests.small_runs import registered, wider_face_files
from tests.tiny_detectors import tiny_detector

CONFIGS = ["DF2S2/DF2S2_R50.yaml", "DSFD/DSFD_R50.yaml"]
TRAIN = ["DATASETS.TRAIN", "('browsed',)"]


@pytest.fixture
def browsed(sample_dataset):
    with registered(browsed=wider_face_files(sample_dataset, "train")):
        yield sample_dataset


@pytest.mark.parametrize("config_file", CONFIGS)
def test_targets_are_those_that_the_detector_is_trained_on(browsed, config_file):
    cfg = load_config(config_file, [*TRAIN, "INPUT.RESIZE_SQUARE_TRAIN", 256])
    (sample,) = load_samples(cfg, 1, seed=3)
    detector = tiny_detector(config_file)
    height, width = sample.image.shape[:2]
    truth = GroundTruth.from_batch([_mapped(sample)], [(height, width)], detector.device)
    shots = {"MODEL.SHOT": detector.shot, "MODEL.FIRST_SHOT": detector.first_shot}
    assert list(sample.shots) == [name for name, shot in shots.items() if shot is not None]
    for name, levels in sample.shots.items():
        shot = shots[name]
        strides = shot.anchor_generator.strides
        grids = shot.anchor_generator.grids([(-(-height // s), -(-width // s)) for s in strides])
        matches, masks = shot.target_rule(grids, truth, with_masks=levels[0].mask is not None)
        counts = [len(grid) for grid in grids]
        assert [level.name for level in levels] == shot.in_features
        for number, labels in enumerate(matches.labels[0].split(counts)):
            expected = grids[number].boxes()[labels == POSITIVE].numpy()
            np.testing.assert_array_equal(levels[number].anchors, expected)
            if masks is not None:
                expected = masks[number].mask[0].numpy()
                np.testing.assert_array_equal(levels[number].mask, expected)
        assert sum(len(level.anchors) for level in levels) > 0
        owners = np.concatenate([level.faces for level in levels])
        assert sample.anchors_per_face(name).sum() == len(owners)
    assert (sample.shots["MODEL.SHOT"][0].mask is not None) == config_file.startswith("DF2S2")


def _mapped(sample: TrainingSample) -> dict:
    import torch
    from detectron2.structures import Boxes, Instances

    faces = Instances(sample.image.shape[:2], gt_boxes=Boxes(torch.from_numpy(sample.faces)))
    return {"instances": faces, "ignore_regions": torch.from_numpy(sample.regions)}


def test_same_seed_gives_the_same_images_and_repeats_differ(browsed):
    cfg = load_config(CONFIGS[0], [*TRAIN, "INPUT.RESIZE_SQUARE_TRAIN", 128])

    def load(seed, **options):
        return [(s.image_ids, s.image) for s in load_samples(cfg, 3, seed, **options)]

    first, again, other = load(1), load(1), load(2)
    for (name, image), (same_name, same_image) in zip(first, again, strict=True):
        assert name == same_name and (image == same_image).all()
    assert any(a[0] != b[0] or (a[1] != b[1]).any() for a, b in zip(first, other, strict=True))
    ((name,), _) = first[0]
    repeated = load(1, image_ids=[name], repeats=2)
    assert [image_ids for image_ids, _ in repeated] == [(name,), (name,)]
    assert (repeated[0][1] != repeated[1][1]).any()


def test_samples_are_those_of_a_training_with_its_mosaics(browsed):
    overrides = ["INPUT.MOSAIC.PROBABILITY", 0.5, "INPUT.RESIZE_SQUARE_TRAIN", 128, "SEED", 1]
    overrides += ["DATALOADER.NUM_WORKERS", 0, "SOLVER.IMS_PER_BATCH", 6]
    cfg = load_config(CONFIGS[0], [*TRAIN, *overrides])
    samples = list(load_samples(cfg, 6, seed=1))
    mapper, mosaic = FaceDatasetMapper(cfg, is_train=True), build_mosaic(cfg)
    batch = next(iter(build_train_loader(cfg, mapper, mosaic)))[: len(samples)]
    for sample, trained in zip(samples, batch, strict=True):
        image = trained["image"].permute(1, 2, 0)
        assert (sample.image == convert_image_to_rgb(image, cfg.INPUT.FORMAT)).all()
        np.testing.assert_array_equal(sample.faces, trained["instances"].gt_boxes.tensor)
        stems = [Path(name).stem for name in trained["file_name"].split(", ")]
        assert [image_id.rpartition("/")[2] for image_id in sample.image_ids] == stems
    assert {len(sample.image_ids) for sample in samples} == {1, 4}
    records = {r["image_id"]: len(r["annotations"]) for r in DatasetCatalog.get("browsed")}
    for sample in samples:
        assert sample.num_annotated <= sum(records[name] for name in sample.image_ids)
        assert sample.num_annotated >= len(sample.faces)


def test_images_that_a_training_never_shows_are_not_shown(browsed):
    name = DatasetCatalog.get("browsed")[0]["image_id"]
    event = name.partition("/")[0]
    cfg = load_config(CONFIGS[0], [*TRAIN, "INPUT.RESIZE_SQUARE_TRAIN", 128])
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    cfg.DATASETS.TRAIN_EVENT_FACTOR = [[event, 0.0]]
    others = {r["image_id"] for r in DatasetCatalog.get("browsed")}
    others = {other for other in others if other.partition("/")[0] != event}
    assert {s.image_ids[0] for s in load_samples(cfg, 4)} <= others != set()


def test_picture_has_a_panel_for_faces_anchors_and_masks():
    image = np.full((100, 100, 3), 100, np.uint8)
    face = np.array([[20, 20, 60, 60]], np.float32)
    mask = np.zeros((13, 13), bool)
    mask[3:7, 3:7] = True
    level = LevelTargets("p3", [32.0], face + 8, np.zeros(1, int), mask, 8)
    region = np.array([[70, 0, 100, 30]], np.float32)
    sample = TrainingSample(("e/a",), image, face, region, 1, {"MODEL.SHOT": [level]})
    picture = np.asarray(Image.open(io.BytesIO(draw_sample(sample))).convert("RGB")).astype(int)
    side = 200  # enlarged twice
    assert picture.shape == (side + 22, 3 * side + 16, 3)
    faces, anchors, masks = (picture[22:, (side + 8) * k : (side + 8) * k + side] for k in range(3))
    assert np.abs(faces[42:120, 40] - FACE).sum(axis=1).mean() < 60  # left side of the face
    assert faces[20, 180].max() < 60 < faces[150, 150].min()  # the region is dark
    blue = anchors[..., 2] - anchors[..., 0]
    assert blue[60:130, 56].mean() > 60 and abs(blue[60:130, 40].mean()) < 20
    blue = masks[..., 2] - masks[..., 0]
    assert blue[60:100, 60:100].mean() > 50 and abs(blue[150:, 150:].mean()) < 10


def test_page_shows_every_sample(browsed, tmp_path, capsys):
    page = tmp_path / "browse.html"
    options = ["--samples", "2", "--output", str(page), "--opts", *TRAIN]
    assert main(["browse", "--config-file", CONFIGS[1], *options]) == 0
    document = page.read_text(encoding="utf-8")
    outline = Outline(document)
    assert len(outline.attributes["img"]) == 2
    assert any(text.startswith("2 images, ") for text in outline.texts["caption"])
    headings = [text for text in outline.texts["th"] if "faces without an anchor" in text]
    assert [heading.partition(":")[0] for heading in headings] == ["MODEL.SHOT", "MODEL.FIRST_SHOT"]
    assert not re.search(r"https?:|src=\"(?!data:)", document)
    assert "browse.html" in capsys.readouterr().out


def test_page_tells_mosaics_from_single_images(browsed, tmp_path):
    page = tmp_path / "browse.html"
    options = ["--samples", "6", "--output", str(page), "--opts", *TRAIN]
    options += ["INPUT.MOSAIC.PROBABILITY", "0.5", "INPUT.RESIZE_SQUARE_TRAIN", "128"]
    assert main(["browse", "--config-file", CONFIGS[0], "--seed", "1", *options]) == 0
    document = page.read_text(encoding="utf-8")
    assert "mosaic of " in document and '<option value="mosaic">' in document


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "no/image"], "'no/image' is not an image of browsed: name it like '"),
        (["--opts", "DATASETS.TRAIN", "('nothing',)"], "there is no data set 'nothing'"),
        (["--samples", "0"], "--samples must be at least 1, got 0"),
    ],
)
def test_wrong_choices_are_one_sentence(browsed, capsys, options, message):
    opts = [] if "--opts" in options else ["--opts", *TRAIN]
    try:
        code = main(["browse", "--config-file", CONFIGS[0], *options, *opts])
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2)
    assert message in capsys.readouterr().err
