"""Faces cut out of pictures, or hidden in them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.inference.media.runs import FACE, find, is_green
from tests.inference.media.scenes import (
    instances,
    read_image,
    read_video,
    scene,
    write_image,
    write_video,
)


def test_every_face_above_the_threshold_is_cut_out(tmp_path):
    image = scene((0, 10, 20, 30), (60, 40, 100, 80))
    image[12, 4] = image[45, 70] = (220, 210, 205)
    path = write_image(tmp_path / "in/x/photo.png", image)
    find(path.parents[1], tmp_path / "out", crop_margin=0.25, is_written=False)
    folder = tmp_path / "out/crops/x/photo.png"
    assert sorted(file.name for file in folder.iterdir()) == ["1.jpg", "2.jpg"]
    crops = [read_image(folder / name).astype(int) for name in ("1.jpg", "2.jpg")]
    assert [crop.shape for crop in crops] == [(30, 25, 3), (60, 60, 3)]
    assert np.abs(crops[0] - image[5:35, 0:25]).mean() < 3
    assert np.abs(crops[1] - image[30:90, 50:110]).mean() < 3


def test_crops_show_the_image_without_boxes(tmp_path):
    write_image(tmp_path / "in/photo.png", scene(FACE))
    find(tmp_path / "in", tmp_path / "out", crop_margin=0.3)
    assert is_green(read_image(tmp_path / "out/photo.png")).any()
    assert not is_green(read_image(tmp_path / "out/crops/photo.png/1.jpg")).any()


def textured(images):
    """Finds the one face of :func:`textured_scene`."""
    return [instances([FACE], [0.9], image.shape[:2]) for image in images]


def textured_scene() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 2, (96, 128, 1)) * 255
    return noise.repeat(3, axis=2).astype(np.uint8)


def contrast(picture: np.ndarray) -> float:
    """Mean step between neighbours inside of the face."""
    x1, y1, x2, y2 = FACE
    return float(np.abs(np.diff(picture[y1:y2, x1:x2].astype(int), axis=1)).mean())


def test_hidden_faces_are_hidden_in_images_and_videos(tmp_path):
    write_image(tmp_path / "in/a.png", textured_scene())
    write_video(tmp_path / "in/b.avi", [textured_scene()] * 5, codec="MJPG")
    find(tmp_path / "in", tmp_path / "out", predict=textured, hide="pixelate", draws_boxes=False)
    original, picture = textured_scene(), read_image(tmp_path / "out/a.png")
    frames, _ = read_video(tmp_path / "out/b.mp4")
    assert len(frames) == 5
    for shown in (picture, *frames):
        assert contrast(shown) < 0.3 * contrast(original)
        assert not is_green(shown)[:, 30:82].any()
    np.testing.assert_array_equal(picture[:, :30], original[:, :30])


def test_both_hidden_and_framed(tmp_path):
    write_image(tmp_path / "in/a.png", textured_scene())
    find(tmp_path / "in", tmp_path / "out", predict=textured, hide="fill", draws_boxes=True)
    picture = read_image(tmp_path / "out/a.png")
    assert is_green(picture).any() and contrast(picture[1:-1]) < 20


@pytest.mark.parametrize("unsound", ["fails", "gives nonsense"])
def test_where_detection_fails_no_face_is_shown(tmp_path, unsound):
    """An image is left out; of a video, which must keep its length, the whole frame is hidden."""
    write_image(tmp_path / "in/a.png", textured_scene())
    write_video(tmp_path / "in/b.avi", [textured_scene()] * 3, codec="MJPG")

    def predict(images):
        if unsound == "fails":
            raise RuntimeError("broken")
        return [instances([[0, 0, float("nan"), 5]], [0.9])] * len(images)

    finding = find(tmp_path / "in", tmp_path / "out", predict=predict, hide="pixelate")
    assert not (tmp_path / "out/a.png").exists()
    frames, _ = read_video(tmp_path / "out/b.mp4")
    assert len(frames) == 3
    for frame in frames:
        assert np.abs(np.diff(frame.astype(int), axis=1)).mean() < 15
    assert len(finding.failures) == 4
    assert any(line.startswith(f"{tmp_path / 'in/b.avi'}, frame 2: ") for line in finding.failures)
    assert (finding.num_images, finding.num_frames) == (0, 0)
