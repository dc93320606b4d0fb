"""Draws a small face-detection data set in the official WIDER FACE layout.

    python datasets/make_sample_dataset.py --output DIR
    DETECTRON2_DATASETS=DIR python train_net.py ...

The pictures are drawn, so nothing is downloaded and no licence applies; the layout, annotation
text and evaluation lists are those of WIDER FACE, so that everything that reads it reads this.
The same seed gives the same data whatever the number of workers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from .annotation_files import (
    Annotation,
    summarise,
    write_annotation_text,
    write_ground_truth,
    write_test_list,
)
from .scenes import crowd_size, draw_scene
from tqdm import tqdm

SPLITS = ("train", "val", "test")
PLACES = ("Street", "Park", "Room", "Stage", "Crowd")  # their order numbers the events
CROWD_EVERY, CROWD_AT = 100, 0  # one picture in a hundred is a crowd, the first one being the first
EMPTY_EVERY, EMPTY_AT = 20, 3  # one in twenty has no face
FEWEST_FACES = 7
MANIFEST = "sample_dataset.json"  # tells drawn data, which may be replaced, from real data


@dataclass(frozen=True)
class PictureTask:
    """What a worker needs to draw one picture and where to put it."""

    folder: Path
    split: str
    index: int
    place: str
    size: tuple[int, int]
    face_count: int
    seed: tuple[int, int, int]

    @property
    def event(self) -> str:
        return f"{PLACES.index(self.place)}--{self.place}"

    @property
    def name(self) -> str:
        return f"{PLACES.index(self.place)}_{self.place}_{self.index}"


def plan_pictures(
    folder: Path,
    split: str,
    count: int,
    seed: int,
    image_size: int,
    max_faces: int,
    crowd_faces: int,
) -> Iterator[PictureTask]:
    """Decides what each picture of a split shows; its details follow from its own seed."""
    for index in range(count):
        picture_seed = (seed, SPLITS.index(split), index)
        rng = np.random.default_rng([*picture_seed, 0])
        size = (int(round(image_size * rng.choice([0.8, 0.9, 1.0]))), image_size)
        if index % CROWD_EVERY == CROWD_AT:
            place, size, faces = "Crowd", crowd_size(size, crowd_faces), crowd_faces
        else:
            place = PLACES[rng.integers(len(PLACES) - 1)]
            faces = int(rng.integers(min(FEWEST_FACES, max_faces), max_faces + 1))
        if index % EMPTY_EVERY == EMPTY_AT:
            faces = 0
        yield PictureTask(folder, split, index, place, size, faces, picture_seed)


def draw_picture(task: PictureTask) -> Annotation:
    """Draws one picture, writes it as JPEG and returns its truth."""
    cv2.setNumThreads(1)  # parallelism is over pictures
    rng = np.random.default_rng([*task.seed, 1])
    scene = draw_scene(rng, task.size, task.place, task.face_count)
    path = task.folder / f"WIDER_{task.split}/images/{task.event}/{task.name}.jpg"
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
    if not cv2.imwrite(str(path), cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR), quality):
        raise OSError(f"{path}: the picture could not be written; check space and permissions.")
    return Annotation(task.event, task.name, scene.boxes, scene.labels, scene.distractors)


def check_arguments(
    counts: dict[str, int],
    seed: int,
    image_size: int,
    max_faces: int,
    crowd_faces: int,
    workers: int,
) -> None:
    """Raises ValueError naming the first argument that makes no sense."""
    for split, count in counts.items():
        if count < 0:
            raise ValueError(f"num_{split} is {count}; give 0 or more images.")
    if not any(counts.values()):
        raise ValueError("num_train, num_val and num_test are all 0; ask for at least one image.")
    if not 128 <= image_size <= 4096:
        raise ValueError(f"image_size is {image_size}; give 128 to 4096 pixels.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give 0 or more.")
    for name, value in (
        ("max_faces", max_faces),
        ("crowd_faces", crowd_faces),
        ("workers", workers),
    ):
        if value < 1:
            raise ValueError(f"{name} is {value}; give at least 1.")


def make_empty(folder: Path, overwrite: bool) -> None:
    """Creates the folder, or clears it where it holds drawn data and `overwrite` is on."""
    if folder.exists() and any(folder.iterdir()):
        if not overwrite:
            raise FileExistsError(f"{folder} is not empty; choose another output or overwrite it.")
        if not (folder / MANIFEST).exists():
            raise FileExistsError(
                f"{folder} holds data that was not drawn here (no {MANIFEST}), so it is kept; "
                "choose another output."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def make_sample_dataset(
    root: str | Path,
    num_train: int = 600,
    num_val: int = 100,
    num_test: int = 10,
    image_size: int = 320,
    seed: int = 0,
    max_faces: int = 18,
    crowd_faces: int = 100,
    workers: int = 1,
    overwrite: bool = False,
) -> dict[str, dict[str, float]]:
    """Draws the data set into `root`/wider_face.

    Args:
        root: what DETECTRON2_DATASETS will point at.
        num_train, num_val, num_test: images of each split.
        image_size: width in pixels; heights are 80, 90 or 100 % of it.
        seed: the same seed gives the same data.
        max_faces: most faces in an ordinary picture.
        crowd_faces: faces of the crowd pictures, which grow where they would not fit.
        workers: processes that draw.
        overwrite: whether an existing data set is replaced.

    Returns:
        The figures of `summarise`, by split.

    Raises:
        ValueError: an argument makes no sense.
        FileExistsError: the folder is not empty and `overwrite` is off, or its data is real.
    """
    counts = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))
    check_arguments(counts, seed, image_size, max_faces, crowd_faces, workers)
    folder = Path(root) / "wider_face"
    make_empty(folder, overwrite)
    settings = {"image_size": image_size, "max_faces": max_faces, "crowd_faces": crowd_faces}
    manifest = {"images": counts, "seed": seed, **settings}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="ascii")
    tasks = [
        task
        for split, count in counts.items()
        for task in plan_pictures(folder, split, count, seed, **settings)
    ]
    for split in SPLITS:
        for place in PLACES:
            event = f"{PLACES.index(place)}--{place}"
            (folder / f"WIDER_{split}/images/{event}").mkdir(parents=True)
    annotations: dict[str, list[Annotation]] = {split: [] for split in SPLITS}
    # Forking a process that runs threads is unsafe, so workers start afresh.
    pool = (
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        if workers > 1
        else nullcontext()
    )
    with pool:
        drawn = (
            pool.map(draw_picture, tasks, chunksize=8) if workers > 1 else map(draw_picture, tasks)
        )
        for task, annotation in zip(tasks, tqdm(drawn, "drawing", len(tasks)), strict=True):
            annotations[task.split].append(annotation)
    for pictures in annotations.values():
        pictures.sort(key=lambda a: a.event)  # by event, as the official text; stable within one

    split_folder = folder / "wider_face_split"
    truth_folder = folder / "eval_tools/ground_truth"
    split_folder.mkdir()
    truth_folder.mkdir(parents=True)
    for split in ("train", "val"):
        write_annotation_text(split_folder / f"wider_face_{split}_bbx_gt.txt", annotations[split])
    write_test_list(split_folder / "wider_face_test_filelist.txt", annotations["test"])
    write_ground_truth(truth_folder, annotations["val"])
    return summarise(annotations)


def main() -> None:
    """Reads the command line, draws the data set and prints its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, type=Path, help="folder to put wider_face/ into")
    parser.add_argument("--num-train", type=int, default=600, help="training images (600)")
    parser.add_argument("--num-val", type=int, default=100, help="validation images (100)")
    parser.add_argument("--num-test", type=int, default=10, help="test images (10)")
    parser.add_argument("--image-size", type=int, default=320, help="image width in pixels (320)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same data (0)")
    parser.add_argument("--max-faces", type=int, default=18, help="most faces in a picture (18)")
    parser.add_argument("--crowd-faces", type=int, default=100, help="faces of a crowd (100)")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw (1)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing data set")
    arguments = vars(parser.parse_args())
    try:
        summary = make_sample_dataset(arguments.pop("output"), **arguments)
    except (ValueError, FileExistsError) as error:
        parser.error(str(error))
    for split, figures in summary.items():
        print(
            f"{split:5} {figures['images']:5} images  {figures['faces']:6} faces  "
            f"{figures['small_share']:4.0%} at 8-16 px  "
            f"{figures['occluded_share']:4.0%} more than 30 % hidden  "
            f"{figures['distractors_per_face']:.2f} distractors a face"
        )


if __name__ == "__main__":
    main()
