"""Complete the labels of photographs by what a detector is sure of.

python tools/complete_labels.py faces.txt found.zip --output completed.txt

Annotators leave out faces, the small and blurred ones of a crowd first, and a detector that is
trained on their labels learns that these are background. A detection that overlaps no labelled
face becomes

- a face, if its score is above --face-score, or above --region-score where it covers a region
  that the labels mark as invalid, which is then dropped;
- otherwise, above --doubtful-score, an invalid region, which training leaves out of account.

Look at what was added (``df2s2 check completed.txt=IMAGES``) before you train on it: a detector's
mistakes become labels too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from detectron2.structures import pairwise_ioa, pairwise_iou

from df2s2_d2.dataset_check.label_overlaps import as_boxes, highest, is_elsewhere
from df2s2_d2.formats.annotated_image import AnnotatedImage, image_name
from df2s2_d2.formats.detection_files import read_detections
from df2s2_d2.formats.wider_face_text import WiderFaceWriter, read_annotations

# A detection that overlaps an invalid region by more explains it.
_MIN_IOU_WITH_REGION = 0.3
_MIN_SHARE_OF_REGION = 0.6


class Thresholds(NamedTuple):
    """What makes a detection a label; sizes are square roots of areas in pixels."""

    face_score: float
    region_score: float
    doubtful_score: float
    min_size: float


def complete(image: AnnotatedImage, detections: np.ndarray, limits: Thresholds) -> AnnotatedImage:
    """The image with further faces and invalid regions behind its own.

    Args:
        image: with its labels.
        detections: (n, 5) x, y, width, height and score, without duplicates.
        limits: of scores and sizes.
    """
    regions = as_boxes(image.boxes[image.ignored])
    found, scores = as_boxes(detections), detections[:, 4]
    is_new = is_elsewhere(detections, image.boxes[~image.ignored])
    in_region = highest(pairwise_iou(found, regions), 1) > _MIN_IOU_WITH_REGION
    needed = np.where(in_region, limits.region_score, limits.face_score)
    is_large = found.area().sqrt().numpy() >= limits.min_size
    is_face = is_new & is_large & (scores > needed)
    is_doubtful = is_new & ~is_face & (scores > limits.doubtful_score)

    added = found[torch.from_numpy(is_face)]
    explained = (highest(pairwise_iou(added, regions), 0) > _MIN_IOU_WITH_REGION) | (
        highest(pairwise_ioa(added, regions), 0) > _MIN_SHARE_OF_REGION
    )
    kept = np.ones(len(image.boxes), bool)
    kept[image.ignored] = ~explained
    new = np.concatenate([detections[is_face, :4], detections[is_doubtful, :4]])
    is_region = np.repeat([False, True], [is_face.sum(), is_doubtful.sum()])
    return image._replace(
        boxes=np.concatenate([image.boxes[kept], new]),
        ignored=np.concatenate([image.ignored[kept], is_region]),
        attributes={
            name: np.concatenate([values[kept], np.zeros(len(new), values.dtype)])
            for name, values in image.attributes.items()
        },
        places=None,
    )


def complete_file(source: Path, found: Path, target: Path, limits: Thresholds) -> str:
    """Write the completed annotations.

    Returns:
        What was added, in one sentence.

    Raises:
        OSError, ValueError: naming the file and what is wrong with it.
    """
    images = read_annotations(str(source))
    detections = read_detections(found)
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the file of annotations itself: give another --output")
    names = {image_name(image.path): image for image in images}
    unknown = sorted(set(detections) - set(names))
    if unknown:
        raise ValueError(
            f"{found} has detections of {len(unknown):,} images that are not in {source}, the "
            f"first of them {unknown[0]}: give those of the same images"
        )
    none = np.zeros((0, 5))
    completed = [
        complete(image, detections.get(name, none), limits) for name, image in names.items()
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = WiderFaceWriter(target)
    for image in completed:
        writer.add(image)
    writer.close()
    before, after = _count(images), _count(completed)
    return (
        f"{target}: {len(images):,} images, {len(set(names) - set(detections)):,} of them without "
        f"detections; faces {before[0]:,} -> {after[0]:,}, invalid regions {before[1]:,} -> "
        f"{after[1]:,}"
    )


def _count(images: list[AnnotatedImage]) -> tuple[int, int]:
    regions = sum(int(image.ignored.sum()) for image in images)
    return sum(len(image.boxes) for image in images) - regions, regions


def _score(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a score from 0 to 1; found {text}")
    return value


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path, help="a text in the format of WIDER FACE")
    parser.add_argument(
        "detections",
        type=Path,
        help="of the same images, as df2s2 detect and the evaluators write them: a folder or zip "
        "archive of texts, a JSON file of COCO's results, or JSON Lines",
    )
    parser.add_argument("--output", type=Path, required=True, help="text to write")
    for name, value, what in (
        ("face", 0.75, "a detection is a face"),
        ("region", 0.65, "it is one where the labels have an invalid region"),
        ("doubtful", 0.4, "it is an invalid region"),
    ):
        parser.add_argument(
            f"--{name}-score",
            type=_score,
            default=value,
            help=f"above it {what} (default: %(default)s)",
        )
    parser.add_argument(
        "--min-size",
        type=float,
        default=5.0,
        help="square root of the area of added faces, in pixels (default: %(default)s)",
    )
    return parser, parser.parse_args()


def main() -> None:
    parser, arguments = parse_arguments()
    limits = Thresholds(*(getattr(arguments, name) for name in Thresholds._fields))
    try:
        print(complete_file(arguments.annotations, arguments.detections, arguments.output, limits))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
