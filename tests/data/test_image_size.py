from __future__ import annotations

import pytest
from detectron2.data.detection_utils import SizeMismatchError
from PIL import Image

from df2s2_d2.data.image_reading import read_image
from df2s2_d2.data.image_size import check_image_size, read_image_size


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_sizes_are_those_of_the_upright_image(tmp_path, orientation, ending):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    path = tmp_path / f"image.{ending}"
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert read_image_size(path) == read_image(path, "RGB").shape[:2]


def test_what_is_no_image_is_an_error(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(OSError):
        read_image_size(tmp_path / "text.jpg")


@pytest.mark.parametrize("stated", [{}, {"height": 20, "width": 30}, {"height": 30, "width": 20}])
def test_the_size_is_that_of_the_image_whichever_way_round_it_was_stated(stated):
    record = {"file_name": "a.jpg", **stated}
    check_image_size(record, (20, 30))
    assert (record["height"], record["width"]) == (20, 30)


def test_another_size_is_an_error_that_names_the_image():
    record = {"file_name": "photos/a.jpg", "height": 40, "width": 60}
    with pytest.raises(SizeMismatchError, match="photos/a.jpg has 30 x 20 .* state 60 x 40"):
        check_image_size(record, (20, 30))
