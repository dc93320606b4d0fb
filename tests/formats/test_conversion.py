"""Every format into every other and back."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth, evaluate_wider_face, read_detections
from df2s2_d2.formats.annotated_image import AnnotatedImage
from df2s2_d2.formats.annotation_files import AnnotationSource, open_writer
from df2s2_d2.formats.annotation_formats import FORMATS
from df2s2_d2.formats.conversion import Conversion, convert
from df2s2_d2.formats.image_sizes import ImageSizes
from tests.formats.annotated_faces import annotated_images, write_image_files

SUFFIXES = {"wider": ".txt", "coco": ".json"}
# What a format keeps beside the boxes.
KEEPS_IGNORED, KEEPS_ATTRIBUTES = {"wider", "coco", "voc"}, {"wider", "coco"}


@pytest.fixture
def image_dir(tmp_path) -> Path:
    return write_image_files(tmp_path / "images of faces")


def place(folder: Path, format: str, step: int = 0) -> Path:
    return folder / f"{step}_{format}{SUFFIXES.get(format, '')}"


def write(path: Path, format: str, images, sizes: ImageSizes, **options) -> Counter[str]:
    with open_writer(path, format, sizes, **options) as writer:
        for image in images:
            writer.add(image)
    return writer.dropped


def read(path: Path, format: str, image_dir: Path | None = None) -> list[AnnotatedImage]:
    return list(AnnotationSource(path, format).read(ImageSizes(image_dir), Counter()))


def expected(chain: tuple[str, ...]) -> dict[str, AnnotatedImage]:
    """What is left of the images in a chain of formats."""
    images = annotated_images()
    for path, image in images.items():
        if "yolo" in chain:
            kept = ~image.ignored
            attributes = {name: values[kept] for name, values in image.attributes.items()}
            image = image._replace(
                boxes=image.boxes[kept], ignored=image.ignored[kept], attributes=attributes
            )
        if not set(chain) <= KEEPS_ATTRIBUTES:
            attributes = {name: values * 0 for name, values in image.attributes.items()}
            image = image._replace(attributes=attributes)
        images[path] = image
    return images


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FORMATS, 2)))
def test_round_trips_keep_all_that_both_formats_hold(tmp_path, image_dir, first, second):
    start = place(tmp_path, first)
    write(start, first, annotated_images().values(), ImageSizes(image_dir))
    there, back = place(tmp_path, second, 1), place(tmp_path, first, 2)
    outward = convert(AnnotationSource(start, first), there, second, image_dir=image_dir)
    convert(AnnotationSource(there, second), back, first, image_dir=image_dir)

    assert (outward.num_images, outward.num_empty) == (4, 1)
    images = {image.path: image for image in read(back, first, image_dir)}
    for path, image in expected((first, second)).items():
        found = images.pop(path)
        np.testing.assert_array_equal(found.boxes, image.boxes)
        np.testing.assert_array_equal(found.ignored, image.ignored)
        for name, values in image.attributes.items():
            np.testing.assert_array_equal(found.attributes.get(name, values * 0), values)
    assert not images


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_dropped_is_counted(tmp_path, image_dir, format):
    image = annotated_images()["0--Parade/a.jpg"]
    odd = [[5, 5, 0, 0], [5, 5, -1, 3], [300, 5, 2, 2], [-30, 4, 40, 9]]
    boxes = np.concatenate([image.boxes, odd])
    ignored = np.concatenate([image.ignored, [False] * 4])
    attributes = {name: np.concatenate([v, [0] * 4]) for name, v in image.attributes.items()}
    image = image._replace(boxes=boxes, ignored=ignored, attributes=attributes)
    dropped = write(place(tmp_path, format), format, [image], ImageSizes())
    assert {what: count for what, count in dropped.items() if count} == {
        "wider": {},
        "coco": {},
        "yolo": {
            "ignored faces": 1,
            "attributes of faces": 6,
            "boxes without an area": 2,
            "boxes outside the image": 1,
            "parts of boxes beyond the border": 1,
        },
        "voc": {"attributes of faces": 7, "boxes without an area": 2},
    }[format]
    found = read(place(tmp_path, format), format, image_dir if format == "yolo" else None)[0]
    if format in ("wider", "coco"):
        np.testing.assert_array_equal(found.boxes, boxes)
    elif format == "voc":
        np.testing.assert_array_equal(found.boxes, boxes[[0, 1, 2, 5, 6]])
    else:  # the last box has its centre outside, and is cut off
        np.testing.assert_array_equal(found.boxes, [*boxes[[0, 2]], [0, 4, 10, 9]])


def test_sizes_come_from_files_or_a_table_or_the_annotations(tmp_path, image_dir):
    source = place(tmp_path, "wider")
    write(source, "wider", annotated_images().values(), ImageSizes())
    table = tmp_path / "sizes.csv"
    rows = "".join(f"{path},200,100\n" for path in annotated_images())
    table.write_text(f"image,width,height\n{rows}", encoding="utf-8")
    for number, options in enumerate(({"image_dir": image_dir}, {"sizes_file": table})):
        convert(AnnotationSource(source, "wider"), tmp_path / f"v{number}", "voc", **options)
        images = read(tmp_path / f"v{number}", "voc")
        assert {image.size for image in images} == {(100, 200)} and len(images) == 4
    # VOC states them.
    assert convert(AnnotationSource(tmp_path / "v0", "voc"), tmp_path / "y", "yolo").num_images == 4


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_unknown_sizes_and_those_of_another_image_are_told(tmp_path, image_dir, format):
    source = place(tmp_path, "wider")
    write(source, "wider", annotated_images().values(), ImageSizes())
    with pytest.raises(ValueError, match="The size of 0--Parade/a.jpg is not known.* --images"):
        convert(AnnotationSource(source, "wider"), tmp_path / "out", format)
    other = [image._replace(size=(50, 200)) for image in annotated_images().values()]
    stated = place(tmp_path, "coco")
    write(stated, "coco", other, ImageSizes())
    with pytest.raises(ValueError, match="a.jpg has 200 x 100 pixels .* state 200 x 50: put back"):
        convert(AnnotationSource(stated, "coco"), tmp_path / "out", format, image_dir=image_dir)
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("format", FORMATS)
def test_failures_leave_nothing_and_what_is_there_stays(tmp_path, image_dir, format):
    path = place(tmp_path, format)
    images = list(annotated_images().values())
    with pytest.raises(ValueError, match="characters that are no text"):
        write(path, format, [images[0], images[1]._replace(path="a\n.jpg")], ImageSizes())
    assert not path.exists() or not list(path.iterdir())
    write(path, format, images, ImageSizes())
    with pytest.raises(FileExistsError, match="exists: choose another output, or add --overwrite"):
        write(path, format, images[:1], ImageSizes())
    assert len(read(path, format, image_dir)) == 4
    write(path, format, images[:1], ImageSizes(), overwrite=True)
    assert sum(len(image.boxes) for image in read(path, format, image_dir)) == 3 - (
        format == "yolo"
    )


@pytest.mark.parametrize("format", ["yolo", "voc"])
@pytest.mark.parametrize("path", ["/elsewhere/a.jpg", "../a.jpg", "x/../../a.jpg"])
def test_nothing_is_written_outside_the_output(tmp_path, format, path):
    image = annotated_images()["c.v2.png"]._replace(path=path)
    with pytest.raises(ValueError, match="does not lie in the folder of images: .* --images"):
        write(tmp_path / "out", format, [image], ImageSizes())


@pytest.mark.parametrize("path", ["12 34", " a.jpg", os.fsdecode(b"caf\xe9.jpg")])
def test_names_that_a_text_cannot_hold_are_refused(tmp_path, path):
    image = annotated_images()["c.v2.png"]._replace(path=path)
    with pytest.raises(ValueError, match="rename it"):
        write(tmp_path / "a.txt", "wider", [image], ImageSizes())


def test_file_lists_are_refused(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(ValueError, match="list.txt lists images without faces"):
        convert(AnnotationSource(tmp_path / "list.txt", "wider"), tmp_path / "a.json", "coco")


def test_images_pass_one_at_a_time(tmp_path, image_dir):
    """However many images there are, those of folders are not in memory together."""
    write(tmp_path / "v", "voc", annotated_images().values(), ImageSizes())
    conversion = Conversion()
    images = conversion.counted(
        AnnotationSource(tmp_path / "v", "voc").read(ImageSizes(), Counter())
    )
    next(images)
    assert conversion.num_images == 1


@pytest.mark.real_data
@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_photographs_evaluate_the_same_after_a_round_trip(shared_data, tmp_path, format):
    """The whole validation set, by the published detections of one detector.

    What a format does not hold, such as 11 boxes without an area, counts before it neither.
    """
    folder = shared_data / "official/wider_face"
    split = folder / "wider_face_split"
    start = split / "wider_face_val_bbx_gt.txt"
    there, back = place(tmp_path, format), tmp_path / "back.txt"
    table = {"sizes_file": split / "image_sizes.csv"}
    done = convert(AnnotationSource(start, "wider"), there, format, **table)
    convert(AnnotationSource(there, format), back, "wider", **table)
    detections = read_detections(folder / "detections/retinaface_resnet152.zip")

    def result(path: Path) -> dict[str, float]:
        boxes, ignored = {}, {}
        for image in read(path, "wider"):
            kept = np.ones(len(image.boxes), bool)
            if format != "coco":
                kept &= (image.boxes[:, 2:] > 0).all(axis=1)
            if format == "yolo":
                kept &= ~image.ignored
            name = image.path.removesuffix(".jpg")
            boxes[name], ignored[name] = image.boxes[kept], image.ignored[kept]
        truth = GroundTruth.from_heights(boxes, ignored=ignored)
        return evaluate_wider_face(detections, truth).ap

    assert (done.num_images, done.num_boxes) == (3226, 39708)
    assert done.dropped["boxes without an area"] == (0 if format == "coco" else 11)
    assert result(back) == pytest.approx(result(start), abs=1e-12)
