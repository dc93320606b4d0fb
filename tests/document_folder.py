"""A folder in which what the documents show can be typed: small files under the names they use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from df2s2_d2.evaluation import write_detections
from tests.formats.fddb_files import save_folds, save_image_sizes
from tests.inference.media.scenes import moving_face, write_video

ROOT = Path(__file__).resolve().parents[1]


def make_document_folder(folder: Path, checkpoint: str, sample_dataset: Path) -> Path:
    """Fill a folder with photographs, videos, checkpoints, data sets and detections.

    Args:
        folder: to be made.
        checkpoint: of a small detector; also stands for every trained model.
        sample_dataset: root of a data set in WIDER FACE's layout.

    Returns:
        The folder.
    """
    photo = Image.open(ROOT / "docs/photographs/grace_hopper.jpg")
    for path in ("photo.jpg", "photos/one.jpg", "photos/two.jpg", "more/deeper/three.jpg"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        photo.resize((160, 192)).save(folder / path)
    for name in ("clip.mp4", "street.mp4"):
        write_video(folder / name, moving_face(3))
    for name in ("model.pth", "model_final.pth", "output/model_best.pth", "output/model_final.pth"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(checkpoint, folder / name)
    _annotate(folder)
    shutil.copytree(sample_dataset / "wider_face", folder / "wider_face")
    _detect(folder)
    _save_fddb(folder)
    return folder


def _annotate(folder: Path) -> None:
    """Annotations of photos/ in both formats."""
    names = ["one.jpg", "two.jpg"]
    box = [50, 40, 60, 70]
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": [{"id": i, "image_id": i, "bbox": box, "category_id": 1} for i in (0, 1)],
        "categories": [{"id": 1, "name": "face"}],
    }
    (folder / "faces.json").write_text(json.dumps(content))
    row = " ".join(map(str, box)) + " 0 0 0 0 0 0"
    (folder / "faces.txt").write_text("".join(f"{name}\n1\n{row}\n" for name in names))


def _detect(folder: Path) -> None:
    """Detections on the validation and test images of wider_face/, and a published curve."""
    rng = np.random.default_rng(0)
    for split, archives in (("val", ("found", "theirs")), ("test", ("test",))):
        images = sorted((folder / f"wider_face/WIDER_{split}/images").rglob("*.jpg"))
        for name in archives:
            rows = rng.uniform(10, 60, (len(images), 4, 5))
            rows[..., 4] /= 60
            keys = [f"{path.parent.name}/{path.stem}" for path in images]
            write_detections(folder / name, dict(zip(keys, rows, strict=True)))
            shutil.make_archive(str(folder / name), "zip", folder / name)
            shutil.rmtree(folder / name)
    (folder / "published").mkdir()
    for setting in ("easy", "medium", "hard"):
        curve = folder / f"published/theirs-published_{setting}.csv"
        curve.write_text("precision,recall\n1,0.2\n0.8,0.6\n")


def _save_fddb(folder: Path) -> None:
    """Two folds, with detections that cover their faces: enough to fit ellipses to."""
    rng = np.random.default_rng(0)
    images = [f"2002/08/11/big/img_{number}" for number in range(60)]
    ellipses = [
        np.array([[30.0, 20.0, 1.5, *rng.uniform(60, 100, 2)]]) * [1 + rng.random(), 1, 1, 1, 1]
        for _ in images
    ]
    folds = {
        f"0{number}": dict(zip(images[number - 1 :: 2], ellipses[number - 1 :: 2], strict=True))
        for number in (1, 2)
    }
    save_folds(folder / "fddb/FDDB-folds", folds)
    save_image_sizes(folder / "fddb/image_sizes.csv", dict.fromkeys(images, (160, 160)))
    lines = []
    for image, (ellipse,) in zip(images, ellipses, strict=True):
        long, short, _, x, y = ellipse
        lines += [image, "1", f"{x - short} {y - long} {2 * short} {2 * long} 0.9"]
    (folder / "found.txt").write_text("".join(f"{line}\n" for line in lines))
