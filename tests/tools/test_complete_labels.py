from __future__ import annotations

import numpy as np
import pytest
from complete_labels import Thresholds, complete

from df2s2_d2.formats.annotated_image import AnnotatedImage
from df2s2_d2.formats.detections_jsonl import format_line
from df2s2_d2.formats.wider_face_text import read_annotations

LIMITS = Thresholds(face_score=0.75, region_score=0.65, doubtful_score=0.4, min_size=5.0)


def completed(labels: list[tuple], detections: list[tuple]) -> tuple[list, list]:
    """Faces and invalid regions, of labels (x, y, w, h, ignored) and detections with scores."""
    rows = np.array(labels, dtype=np.float64).reshape(-1, 5)
    ignored = rows[:, 4] != 0
    blur = np.full(len(rows), 2)
    image = AnnotatedImage("a/1.jpg", rows[:, :4], ignored, {"blur": blur})
    found = complete(image, np.array(detections, dtype=np.float64).reshape(-1, 5), LIMITS)
    assert found.path == image.path
    assert len(found.attributes["blur"]) == len(found.boxes) == len(found.ignored)
    boxes = found.boxes.tolist()
    return (
        [tuple(box) for box, is_region in zip(boxes, found.ignored, strict=True) if not is_region],
        [tuple(box) for box, is_region in zip(boxes, found.ignored, strict=True) if is_region],
    )


@pytest.mark.parametrize(
    ("score", "faces", "regions"), [(0.8, 1, 0), (0.75, 0, 1), (0.5, 0, 1), (0.4, 0, 0)]
)
def test_what_nobody_labelled_goes_by_its_score(score, faces, regions):
    new = completed([], [(100, 100, 20, 20, score)])
    assert [len(boxes) for boxes in new] == [faces, regions]


@pytest.mark.parametrize(
    "detection",
    [
        (10, 10, 20, 20),  # the face itself
        (17, 10, 20, 20),  # IoU 0.48
        (12, 12, 6, 6),  # a part of it
        (0, 0, 60, 60),  # something around it
    ],
)
def test_labelled_faces_stay_as_they_are(detection):
    label = (10, 10, 20, 20)
    assert completed([(*label, 0)], [(*detection, 0.99)]) == ([label], [])


def test_neighbours_of_labelled_faces_are_faces():
    label, neighbour = (10, 10, 20, 20), (25, 10, 20, 20)  # IoU 0.14
    assert completed([(*label, 0)], [(*neighbour, 0.9)]) == ([label, neighbour], [])


def test_regions_are_faces_from_a_lower_score_and_dropped_for_them():
    region, other = (50, 50, 20, 20), (200, 50, 20, 20)
    detection = (51, 51, 20, 20)
    labels = [(*region, 1), (10, 10, 20, 20, 0), (*other, 1)]
    faces, regions = completed(labels, [(*detection, 0.7)])
    assert faces == [(10, 10, 20, 20), detection]
    assert regions == [other]
    # Without being sure, the region stays, and the detection is one more.
    faces, regions = completed(labels, [(*detection, 0.6)])
    assert faces == [(10, 10, 20, 20)]
    assert regions == [region, other, detection]


def test_small_regions_inside_a_new_face_are_dropped():
    assert completed([(50, 50, 4, 4, 1)], [(45, 45, 20, 20, 0.9)]) == ([(45, 45, 20, 20)], [])


def test_tiny_detections_are_no_faces():
    assert completed([], [(5, 5, 4, 4, 0.99)]) == ([], [(5, 5, 4, 4)])


@pytest.fixture
def files(tmp_path):
    annotations, detections = tmp_path / "faces.txt", tmp_path / "found.jsonl"
    annotations.write_text("a/1.jpg\n1\n10 10 20 20 2 0 0 0 1 0\na/2.jpg\n0\n0 0 0 0\n")
    rows = [[100, 100, 120, 120, 0.9], [200, 100, 220, 120, 0.5]]
    write(detections, {"a/1": rows})
    return annotations, detections, tmp_path / "new" / "completed.txt"


def write(path, detections: dict[str, list]) -> None:
    lines = [
        format_line(f"{name}.jpg", (480, 640), np.reshape(np.array(rows, np.float64), (-1, 5)))
        for name, rows in detections.items()
    ]
    path.write_text("".join(f"{line}\n" for line in lines))


def test_script_writes_a_file_that_trains(run_tool, files):
    annotations, detections, output = files
    run = run_tool("complete_labels", annotations, detections, "--output", output)
    assert run.returncode == 0, run.stderr
    assert "2 images, 1 of them without detections; faces 1 -> 2, invalid regions 0 -> 1" in (
        run.stdout
    )
    first, second = read_annotations(str(output))
    assert first.boxes.tolist() == [[10, 10, 20, 20], [100, 100, 20, 20], [200, 100, 20, 20]]
    assert first.ignored.tolist() == [False, False, True]
    assert first.attributes["blur"].tolist() == [2, 0, 0]
    assert len(second.boxes) == 0


def test_other_thresholds(run_tool, files):
    annotations, detections, output = files
    run = run_tool(
        *("complete_labels", annotations, detections, "--output", output),
        *("--face-score", "0.95", "--doubtful-score", "0.6"),
    )
    assert "faces 1 -> 1, invalid regions 0 -> 1" in run.stdout


def test_bad_input_is_one_line_and_writes_nothing(run_tool, files):
    annotations, detections, output = files
    run = run_tool("complete_labels", annotations, detections, "--output", annotations)
    assert run.returncode == 1 and "give another --output" in run.stderr
    assert len(read_annotations(str(annotations))) == 2

    write(detections, {"b/9": []})
    run = run_tool("complete_labels", annotations, detections, "--output", output)
    assert run.returncode == 1 and "1 images that are not in" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert not output.exists()

    run = run_tool("complete_labels", annotations, "absent.zip", "--output", output)
    assert run.returncode == 1 and "absent.zip" in run.stderr
