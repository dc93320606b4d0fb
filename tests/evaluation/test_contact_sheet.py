from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from df2s2_d2.evaluation import GroundTruth
from df2s2_d2.evaluation.contact_sheet import choose_window, draw_contact_sheet, rank_images
from df2s2_d2.evaluation.wider_face.operating_point import OperatingPoint, judge_detections

ORANGE, YELLOW, GREEN = (to_rgb(color) for color in ("#ff5a1f", "#ffe600", "#00e08a"))
BLUE = (0.0, 0.0, 1.0)
LEGEND = 40  # rows of pixels


def test_images_are_ranked_by_count_and_those_without_errors_left_out():
    counts = np.array([0, 3, 5, 3, 0])
    assert rank_images(counts, 12).tolist() == [2, 1, 3]
    assert rank_images(counts, 2).tolist() == [2, 1]


def test_window_holds_most_boxes_at_a_size_that_can_be_seen():
    crowd = [[700 + 10 * k, 500 + 8 * k, 8, 8] for k in range(6)]
    x1, y1, x2, y2 = choose_window(np.array([[10, 10, 8, 8], *crowd], float), 1000, 800)
    # Eight pixels of the image become 16 of a panel of 400 x 300.
    assert (x2 - x1, y2 - y1) == (200, 150)
    assert x1 <= 704 and x2 >= 754 and y1 <= 504 and y2 >= 544
    # A window stays within the image, even if faces reach over its border.
    corner = choose_window(np.array([[-5, -5, 8, 8]], float), 1000, 800)
    assert corner == (0, 0, 200, 150)


def test_window_has_bounds():
    assert choose_window(np.array([[100, 100, 300, 300]], float), 640, 480) == (0, 0, 640, 480)
    assert choose_window(np.zeros((0, 4)), 640, 480) == (0, 0, 640, 480)
    x1, y1, x2, y2 = choose_window(np.array([[100, 100, -1, 0]]), 640, 480)
    assert (x2 - x1, y2 - y1) == (134, 100)  # a third of a panel
    many = np.random.default_rng(0).uniform(0, 500, size=(20_000, 4))
    x1, y1, x2, y2 = choose_window(many, 640, 480)
    assert 0 <= x1 < x2 <= 640 and 0 <= y1 < y2 <= 480


@pytest.fixture
def case(tmp_path) -> tuple[Path, GroundTruth, OperatingPoint]:
    """A blue image with a missed face at its left, and one with a found and a false one."""
    boxes = {"e/missed": [[40, 90, 80, 120]], "e/$odd_name$": [[40, 90, 80, 120]]}
    truth = GroundTruth.from_heights({k: np.array(v, float) for k, v in boxes.items()})
    rows = np.array([[40, 90, 80, 120, 0.9], [280, 90, 80, 120, 0.8]])
    point = judge_detections({"e/$odd_name$": rows}, truth, "hard", 0.5)
    (tmp_path / "e").mkdir()
    for image in boxes:
        blue = np.full((300, 400, 3), (255, 0, 0), np.uint8)
        cv2.imwrite(str(tmp_path / f"{image}.png"), blue)
    return tmp_path, truth, point


def draw(case, numbers, kind="missed face") -> np.ndarray:
    """The sheet below its legend, (H, W, 3) RGB, fractions of 1."""
    buffer = io.BytesIO()
    draw_contact_sheet(buffer, *case, numbers, kind)
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[LEGEND:, :, ::-1] / 255


def extent(image: np.ndarray, color) -> np.ndarray | None:
    """Left, top, right and bottom of what has a color."""
    y, x = np.nonzero(np.abs(image - color).max(axis=2) < 0.15)
    return np.array([x.min(), y.min(), x.max(), y.max()]) if len(x) else None


def test_missed_face_is_drawn_where_it_is(case):
    sheet = draw(case, [0])
    panel, box = extent(sheet, BLUE), extent(sheet, ORANGE)
    scale = (panel[2] - panel[0]) / 400
    assert scale == pytest.approx(1, abs=0.1)
    expected = panel[[0, 1, 0, 1]] + scale * np.array([40, 90, 120, 210])
    np.testing.assert_allclose(box, expected, atol=3)
    assert extent(sheet, YELLOW) is None and extent(sheet, GREEN) is None


def test_found_face_and_false_positive_have_colors_of_their_own(case):
    sheet = draw(case, [1], "false positive")
    assert extent(sheet, ORANGE) is None
    found, false = extent(sheet, GREEN), extent(sheet, YELLOW)
    assert found[2] < false[0], "the false positive lies right of the found face"


def test_sheet_grows_by_rows_of_three(case):
    heights = [draw(case, [0, 1] * n).shape[0] + LEGEND for n in (1, 2, 3)]
    assert heights[1] == heights[2] > 1.8 * heights[0]


def test_image_that_is_missing_or_damaged_is_named(case):
    path = case[0] / "e" / "missed.png"
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"missed.png is no readable image"):
        draw(case, [0])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"missed.jpg not found: give the folder"):
        draw(case, [0])
    with pytest.raises(ValueError, match="'missed face', 'false positive', found 'hits'"):
        draw(case, [1], "hits")
