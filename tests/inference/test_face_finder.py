"""What predictors take and give, by one that finds white squares."""

from __future__ import annotations

import gc
import io
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from df2s2_d2 import Faces
from df2s2_d2.images.errors import BrokenImageError
from df2s2_d2.inference.face_finder import FaceFinder
from df2s2_d2.inference.media.search import Search
from tests.inference.media import conftest, scenes
from tests.inference.media.scenes import moving_face, scene, write_video

photos, clip = conftest.photos, conftest.clip
FACE = (40, 30, 72, 62)


class WhiteFinder(FaceFinder[Faces]):
    """Finds what is white but for its red, so that the order of the channels counts."""

    def __init__(self, image_format: str = "BGR", batch_size: int = 2):
        super().__init__(batch_size=batch_size, image_format=image_format)
        self.num_seen = 0

    def _detect_each(self, images) -> Iterator[Faces]:
        for index, image in enumerate(images):
            pixels = self._pixels(index, image, "RGB")
            assert pixels[..., 2].mean() >= pixels[..., 0].mean(), "RGB was taken for BGR"
            self.num_seen += 1
            (found,) = scenes.find_white([pixels])
            yield Faces.from_instances(found[found.scores > 0.5])

    def _as_faces(self, detections: Faces) -> Faces:
        return detections


@pytest.fixture
def finder() -> WhiteFinder:
    return WhiteFinder()


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99), dtype=np.uint8))

# One image and several


def all_kinds(path: Path) -> list:
    """The image of FACE in every form, arrays in BGR."""
    rgb = scene(FACE)
    image = Image.fromarray(rgb)
    image.save(path)
    content = path.read_bytes()
    at_its_end = io.BytesIO(content)
    at_its_end.seek(0, io.SEEK_END)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    forms = [path, str(path), content, bytearray(content), memoryview(content), at_its_end]
    forms += [path.open("rb"), Image.open(path), image, bgr, bgr.astype(np.float32)]
    forms += [torch.from_numpy(bgr).permute(2, 0, 1)]
    forms += [image.convert(mode) for mode in ("RGBA", "P", "YCbCr", "CMYK")]
    return forms


def test_every_form_of_an_image_is_one_image(finder, tmp_path):
    forms = all_kinds(tmp_path / "face.png")
    for form in forms:
        found = finder(form)
        assert isinstance(found, Faces) and found.xyxy.tolist() == [list(FACE)], type(form)
        assert finder.find(form).xyxy.tolist() == [list(FACE)]
    for several in (forms, tuple(forms), iter(forms), {str(forms[0])}):
        found = finder(several)
        assert isinstance(found, list) and all(
            faces.xyxy.tolist() == [list(FACE)] for faces in found
        )
    assert len(finder.find(forms)) == len(forms) and finder([]) == finder.find([]) == []


def test_encoded_images_and_pillows_are_turned_upright(finder):
    tags = Image.Exif()
    tags[0x0112] = 6
    lying = encoded(Image.fromarray(scene(FACE)), "JPEG", exif=tags, quality=100)
    for image in (lying, Image.open(io.BytesIO(lying))):
        (face,) = finder(image)
        # A quarter turn clockwise: columns become rows, and rows, of 96, columns from the right.
        np.testing.assert_allclose(face.xyxy, [96 - 62, 40, 96 - 30, 72], atol=1)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "^Image 0: expected an encoded image .* 0 bytes .*no format that Pillow knows"),
        (b"no image", "8 bytes that cannot be decoded"),
        (encoded(NOISE, "JPEG")[:2000], "2,000 bytes that cannot be decoded .*truncated"),
        (io.BytesIO(b""), "the file BytesIO that cannot be decoded"),
        (io.StringIO("text"), "the file StringIO that cannot be decoded"),
        (Image.new("F", (2, 2)), "PIL image cannot be used .*its pixels are floats"),
        (Image.new("RGB", (0, 3)), "at least one pixel, found 0 x 3"),
        (Image.open(io.BytesIO(encoded(NOISE)[:2000])), "PIL image cannot be used .*truncated"),
        ("https://example.org/a.jpg", "nothing is downloaded here"),
        (7, "found int"),
        (None, "found NoneType"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(finder, image, words):
    with pytest.raises(ValueError, match=words) as caught:
        finder(image)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="^Image 1: "):
        finder([scene(FACE)[..., ::-1], image])


def test_single_pixels_are_images(finder):
    assert finder(Image.new("L", (1, 1))).image_size == (1, 1)
    assert finder(encoded(Image.new("1", (1, 7)))).image_size == (7, 1)


def test_folders_and_videos_are_no_part_of_a_list(finder, photos, clip):
    for several in (photos, str(clip), f"{photos}/*/*.png"):
        with pytest.raises(ValueError, match="Image 1: .* is a folder, a video or a pattern"):
            finder([photos / "a/0.png", several])
        with pytest.raises(ValueError, match="stream takes several images .* by search"):
            finder.stream(several)
    with pytest.raises(ValueError, match="found NoneType"):
        finder.stream(None)


@pytest.mark.parametrize("options", [{"image_format": "L"}, {"batch_size": 0}])
def test_wrong_arguments_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        WhiteFinder(**options)


# Folders and videos


@pytest.mark.parametrize("image_format", ["BGR", "RGB"])
def test_folders_videos_and_patterns_are_searched(photos, clip, image_format):
    finder = WhiteFinder(image_format)
    for several, count in ((photos, 7), (str(photos), 7), (f"{photos}/b/[3-5].png", 3), (clip, 11)):
        search = finder(several)
        assert isinstance(search, Search) and isinstance(finder.find(several), Search)
        assert len(list(search)) == count and search.failures == []


def test_results_say_where_they_are_from(finder, photos, clip):
    search = finder.search([clip, photos / "b", photos / "a/1.png", photos / "b/3.png"])
    assert (search.num_images, search.num_videos) == (5, 1)
    assert repr(search) == "Search(images: 5, videos: 1; iterate over it)"
    found = list(search)
    names = [result.path.name for result in found]
    assert names == ["3.png", "4.png", "5.png", "6.png", "1.png", *["clip.avi"] * 11]
    images, frames = found[:5], found[5:]
    assert all(result.frame is result.time is None for result in images)
    assert [result.frame for result in frames] == list(range(11))
    np.testing.assert_allclose([result.time for result in frames], np.arange(11) / 10, atol=0.01)
    assert [len(result.faces) for result in images] == [0, 1, 1, 1, 1]
    for result, row in zip(images[1:], (50, 60, 70, 20), strict=True):
        assert result.faces.xyxy.tolist() == [[row, 30, row + 24, 54]]
        assert result.faces is result.detections
        assert result.faces.draw(result.image).shape == result.image.shape
    for frame in frames:
        left = 10 + 2 * frame.frame
        np.testing.assert_allclose(frame.faces.xyxy, [[left, 30, left + 24, 54]], atol=2)
    assert repr(frames[3]).endswith("clip.avi, frame 3: Faces(1 in 128 x 96 pixels))")


def test_broken_files_are_passed_over_and_named(finder, photos, tmp_path, caplog):
    (photos / "a/1.png").write_bytes(b"no image")
    (photos / "a/2.png").write_bytes((photos / "a/2.png").read_bytes()[:80])
    (photos / "a/broken.mp4").write_bytes(b"no video")
    search = finder(photos)
    with caplog.at_level(logging.WARNING):
        assert [result.path.stem for result in search] == ["0", "3", "4", "5", "6"]
    assert len(search.failures) == 3
    for failure, name in zip(search.failures, ("1.png", "2.png", "broken.mp4"), strict=True):
        assert f"{photos / 'a' / name} cannot be read" in failure and failure in caplog.text
    results = []
    with pytest.raises(BrokenImageError, match="1.png cannot be read"):
        for result in finder.search(photos, strict=True):
            results.append(result)
    assert [result.path.stem for result in results] == ["0"]
    with pytest.raises(OSError, match="The video .*broken.mp4 cannot be read"):
        list(finder.search(photos / "a/broken.mp4", strict=True))


def test_videos_that_end_too_early_are_named(finder, tmp_path):
    clip = write_video(tmp_path / "clip.avi", moving_face(30), codec="MJPG")
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) // 2])
    search = finder(clip)
    assert 3 < len(list(search)) < 27
    assert len(search.failures) == 1 and "damaged or cut short" in search.failures[0]
    with pytest.raises(OSError, match="damaged or cut short"):
        list(finder.search(clip, strict=True))


def test_images_that_the_detector_fails_in_are_named(finder, photos, monkeypatch):
    detect = finder._detect_each

    def fail_in_large_ones(images):
        for image in images:
            if image.shape[0] == 96:
                raise FloatingPointError("the detector\nis broken")
            yield from detect([image])

    monkeypatch.setattr(finder, "_detect_each", fail_in_large_ones)
    search = finder(photos)
    assert [result.path.stem for result in search] == ["0", "2", "4", "6"]
    assert search.failures[0].endswith("1.png: the detector failed (the detector is broken)")
    with pytest.raises(RuntimeError, match="1.png: the detector failed"):
        list(finder.search(photos, strict=True))


def test_boxes_that_are_not_finite_are_a_failure(finder, photos, monkeypatch):
    def not_finite(faces):
        return Faces([[0, 0, 1, np.nan]], [1], (1, 1)) if len(faces) else faces

    monkeypatch.setattr(finder, "_as_faces", not_finite)
    search = finder(photos)
    assert [result.path.stem for result in search] == ["3"]
    assert len(search.failures) == 6
    assert "0.png: a box or a score is not finite" in search.failures[0]


def test_sources_are_checked_before_the_search(finder, tmp_path):
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", "absent.mp4", "absent/*.jpg", ["absent.jpg"]):
        with pytest.raises(FileNotFoundError, match="does not exist|no image and no video"):
            finder.search(source)
    with pytest.raises(FileNotFoundError, match="absent.mp4 does not exist"):
        finder("absent.mp4")
    for source in (scene(FACE), [scene(FACE)], b"bytes", None, 0):
        with pytest.raises(ValueError, match="search takes paths .* to the predictor itself"):
            finder.search(source)
    assert list(finder.search([])) == []


def test_a_search_is_lazy_and_ends_when_it_is_left(finder, tmp_path):
    video = write_video(tmp_path / "long.avi", moving_face(40), codec="MJPG")
    for number in range(3):
        shutil.copy(video, tmp_path / f"{number}.avi")
    threads = threading.active_count()
    search = finder(tmp_path)
    assert finder.num_seen == 0
    for number, _ in enumerate(search):
        assert finder.num_seen <= number + 2
        if number == 5:
            break
    search.close()
    assert list(search) == [] and threading.active_count() == threads
    # One that nobody has any more ends at once, without waiting for the garbage collector.
    gc.disable()
    try:
        next(finder(tmp_path))
        assert threading.active_count() == threads
    finally:
        gc.enable()
