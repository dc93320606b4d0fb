"""The page in a browser, against a service on this machine."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from df2s2_d2.serving.app import create_app
from df2s2_d2.serving.limits import Limits
from tests.inference.media.scenes import moving_face, scene, write_image, write_video
from tests.serving.chromium import Tab, open_tab
from tests.serving.services import model, running

# A face with a face of a smaller score in it, as the stand-in finds them.
PIXELS = scene((40, 30, 64, 54))
PIXELS[30:54:2, 40:64] = 230  # what is hidden has no stripes


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Tab]:
    with open_tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    limits = Limits(requests_per_minute=0, image_bytes=1_000_000)
    with running(create_app(model(), limits)) as address:
        yield address


@pytest.fixture
def tab(browser, address) -> Tab:
    """The page as it is first seen, whose downloads are kept for the test."""
    browser.complaints.clear()
    browser.resize(1000, 800)
    browser.open(address)
    browser.evaluate("document.getElementById('model').textContent === 'white squares'", until=True)
    browser.evaluate(
        """window.saved = [];
        const addressOf = URL.createObjectURL;
        let latest = null;
        URL.createObjectURL = (blob) => addressOf((latest = blob));
        HTMLAnchorElement.prototype.click = function () {
          saved.push(latest.arrayBuffer().then((bytes) =>
            [this.download, btoa(String.fromCharCode(...new Uint8Array(bytes)))]));
        }"""
    )
    return browser


def text(tab: Tab, name: str) -> str:
    return tab.evaluate(f"document.getElementById('{name}').textContent")


def wait_for_text(tab: Tab, name: str, words: str) -> None:
    tab.evaluate(
        f"document.getElementById('{name}').textContent.includes({json.dumps(words)})", until=True
    )


def set_value(tab: Tab, name: str, value: str, event: str) -> None:
    tab.evaluate(
        f"""(() => {{ const input = document.getElementById('{name}'); input.value = '{value}';
        input.dispatchEvent(new Event('{event}')); }})()"""
    )


def click(tab: Tab, name: str) -> None:
    tab.evaluate(f"document.getElementById('{name}').click()")


def last_saved(tab: Tab) -> tuple[str, bytes]:
    name, data = tab.evaluate("saved.length && saved.at(-1)", until=True)
    tab.evaluate("saved.length = 0")
    return name, base64.b64decode(data)


def saved_picture(tab: Tab) -> np.ndarray:
    click(tab, "save-picture")
    name, data = last_saved(tab)
    assert name == "face_faces.png"
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.fixture
def picture(tmp_path) -> Path:
    return write_image(tmp_path / "face.png", PIXELS)


def test_faces_are_framed_counted_and_saved(tab, picture):
    tab.choose_files("#files", picture)
    wait_for_text(tab, "status", "1 face")
    click(tab, "save-json")
    assert last_saved(tab)[0] == "detections.json"
    drawn = saved_picture(tab)
    assert drawn.shape == PIXELS.shape
    np.testing.assert_array_equal(drawn[31:53, 41:63], PIXELS[31:53, 41:63])
    assert (drawn[42, 39] != PIXELS[42, 39]).any() and (drawn[42, 20] == PIXELS[42, 20]).all()
    set_value(tab, "threshold", "0.2", "input")
    assert text(tab, "status") == "2 faces"
    click(tab, "save-json")
    (record,) = json.loads(last_saved(tab)[1])
    assert (record["file"], record["width"], record["height"]) == ("face.png", 128, 96)
    assert [face["box"] for face in record["faces"]] == [[40, 30, 64, 54], [40, 30, 52, 54]]
    assert tab.complaints == []


@pytest.mark.parametrize(("look", "colors"), [("pixelate", 36), ("fill", 1)])
def test_faces_are_hidden_as_by_the_command(tab, picture, look, colors):
    tab.choose_files("#files", picture)
    wait_for_text(tab, "status", "1 face")
    set_value(tab, "look", look, "change")
    assert text(tab, "status") == "2 faces"  # by the lower threshold of what is hidden
    hidden = saved_picture(tab)
    # A fifth of its size around the face too, and nothing else.
    inside = np.zeros(PIXELS.shape[:2], bool)
    inside[25:59, 35:69] = True
    np.testing.assert_array_equal(hidden[~inside], PIXELS[~inside])
    face = hidden[30:54, 40:64].reshape(24, 24, 3)
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 2 * colors + 2
    assert (np.abs(np.diff(face, axis=0)).sum(axis=2) > 0).sum() < 0.5 * 23 * 24
    assert not tab.evaluate("document.getElementById('caution').hidden")


def test_what_cannot_be_looked_at_is_told_and_the_others_are(tab, picture, tmp_path):
    (tmp_path / "no image.jpg").write_text("a text")
    (tmp_path / "large.png").write_bytes(bytes(1_000_001))
    tab.choose_files("#files", tmp_path / "no image.jpg", picture, tmp_path / "large.png")
    wait_for_text(tab, "problem", "no image.jpg: The file is no image")
    wait_for_text(tab, "problem", "large.png has more than 1 MB.")
    wait_for_text(tab, "status", "1 face")
    assert tab.evaluate("document.querySelectorAll('#items li').length") == 1


def test_formats_that_browsers_cannot_show_are_shown(tab, tmp_path):
    tab.choose_files("#files", write_image(tmp_path / "face.tiff", PIXELS))
    wait_for_text(tab, "status", "1 face")
    assert np.abs(saved_picture(tab)[35:50, 70:] - PIXELS[35:50, 70:]).max() < 10


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_pictures_on_their_head_are_shown_as_they_were_looked_at(tab, tmp_path, suffix):
    """Their sides do not tell whether a browser has turned them."""
    exif = Image.Exif()
    exif[0x0112] = 3  # by half a turn
    path = tmp_path / f"face.{suffix}"
    upside_down = Image.fromarray(PIXELS[::-1, ::-1].astype(np.uint8))
    upside_down.save(path, exif=exif, quality=95)
    tab.choose_files("#files", path)
    wait_for_text(tab, "status", "1 face")
    assert np.abs(saved_picture(tab)[35:50, 70:] - PIXELS[35:50, 70:]).max() < 25


def test_a_video_is_looked_through_and_played(tab, tmp_path):
    video = write_video(tmp_path / "clip.webm", moving_face(12), fps=10, codec="VP80")
    tab.choose_files("#files", video)
    wait_for_text(tab, "status", "12 frames looked at")
    tab.evaluate("!document.getElementById('player').hidden", until=True)
    set_value(tab, "position", "0.5", "input")
    wait_for_text(tab, "status", "1 face at 0.5 s")
    assert tab.evaluate("document.getElementById('picture').width") == 128
    click(tab, "play")
    wait_for_text(tab, "status", "1 face at 1.1 s")
    wait_for_text(tab, "play", "Play")
    click(tab, "save-json")
    records = json.loads(last_saved(tab)[1])
    assert [record["frame"] for record in records] == list(range(12))
    assert tab.complaints == []


def test_the_camera_is_looked_at_until_it_is_stopped(tab):
    click(tab, "camera")
    wait_for_text(tab, "camera", "Stop the camera")
    wait_for_text(tab, "status", "face")
    assert tab.evaluate("document.getElementById('picture').width") > 100
    click(tab, "camera")
    assert text(tab, "camera") == "Use the camera"
    assert tab.complaints == []


def test_page_fits_a_phone(tab, picture):
    tab.resize(360, 700)
    tab.choose_files("#files", picture)
    wait_for_text(tab, "status", "1 face")
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    heights = tab.evaluate(
        "[...document.querySelectorAll('button, select, input[type=range]')]"
        ".filter((e) => e.offsetParent).map((e) => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44  # a finger's width
