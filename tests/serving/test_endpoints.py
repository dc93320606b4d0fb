from __future__ import annotations

import errno
import io
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.media.privacy import STYLES, hide_faces
from df2s2_d2.serving.app import create_app
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.service import Service
from tests.inference.media.scenes import moving_face, scene, write_video
from tests.serving.services import encoded, find_faces, model

PIXELS = scene((40, 30, 64, 54))
SENT = {"file": ("photo.png", encoded(PIXELS))}
# What find_faces has of it.
FACE, HALF = (
    {"box": [40, 30, right, 54], "score": score} for right, score in ((64, 0.9), (52, 0.3))
)


def client_with(limits: Limits | None = None, find=find_faces) -> TestClient:
    return TestClient(create_app(model(find), limits), raise_server_exceptions=False)


def records(answer) -> list[dict]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize(
    ("fields", "faces"),
    [({}, [FACE]), ({"threshold": 0.2}, [FACE, HALF]), ({"threshold": 0.9}, [])],
)
def test_faces_are_those_above_the_threshold(client, fields, faces):
    answer = client.post("/v1/faces", files=SENT, data=fields)
    record = answer.json()
    assert (answer.status_code, record["width"], record["height"]) == (200, 128, 96)
    assert [face["box"] for face in record["faces"]] == [face["box"] for face in faces]
    assert len(Faces.from_dict(record)) == len(faces)


@pytest.mark.parametrize(
    ("files", "fields", "sentence"),
    [
        ({}, {}, "file: Field required."),
        (SENT, {"threshold": "2"}, "threshold: Input should be less than or equal to 1."),
        (SENT, {"threshold": "nan"}, "threshold: Input should be a finite number."),
        (SENT, {"threshold": "x"}, "threshold: Input should be a valid number, unable to parse"),
    ],
)
def test_wrong_fields_are_told_in_a_sentence(client, files, fields, sentence):
    answer = client.post("/v1/faces", files=files, data=fields)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"no image", 415),
        (encoded(scene(size=(97, 128))), 413),
        (encoded(PIXELS, "JPEG")[:-300], 422),
    ],
)
def test_files_that_are_no_use_are_refused(data, status):
    with client_with(Limits(image_pixels=PIXELS.shape[0] * PIXELS.shape[1])) as client:
        answer = client.post("/v1/faces", files={"file": ("../../etc/passwd", data)})
    assert answer.status_code == status
    assert re.fullmatch(r"The (file|image) [^\n]*\.", answer.json()["detail"])


def test_a_failing_detector_is_told_without_its_secrets(caplog):
    def fail(images):
        raise ValueError("secret")

    with client_with(find=fail) as client:
        answer = client.post("/v1/faces", files=SENT)
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert "the detector failed (ValueError: secret)" in caplog.text


def test_images_that_memory_does_not_hold_may_be_sent_again(monkeypatch, client):
    def fail(image, image_format):
        raise MemoryError

    monkeypatch.setattr("df2s2_d2.serving.uploads.as_pixels", fail)
    answer = client.post("/v1/faces", files=SENT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("look", ["boxes", "plain", *STYLES])
def test_pictures_are_those_of_the_command(client, look):
    answer = client.post("/v1/picture", files=SENT, data={"look": look, "format": "png"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    (faces,) = find_faces([PIXELS])
    if look == "plain":
        expected = PIXELS
    elif look == "boxes":
        expected = faces[faces.scores > 0.5].draw(PIXELS)
    else:
        expected = hide_faces(PIXELS, faces.xyxy, look)  # the half face too
    np.testing.assert_array_equal(Image.open(io.BytesIO(answer.content)), expected)


def test_pictures_are_jpegs_by_default_and_too_long_ones_refused(client):
    answer = client.post("/v1/picture", files=SENT)
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    long = {"file": ("long.png", encoded(np.zeros((1, 70_000, 3), np.uint8)))}
    answer = client.post("/v1/picture", files=long, data={"look": "plain"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "A jpeg cannot hold 70000 x 1 pixels: ask for another format."
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    """Twelve frames of a face that moves, ten a second."""
    path = tmp_path_factory.mktemp("video") / "video.webm"
    return write_video(path, moving_face(12), fps=10, codec="VP80").read_bytes()


def test_videos_are_looked_through_a_frame_a_line(client, video, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fields = {"frames_per_second": 5, "threshold": 0.5}
    *frames, end = records(client.post("/v1/video", files={"file": video}, data=fields))
    assert [frame["frame"] for frame in frames] == [0, 2, 4, 6, 8, 10]
    assert [frame["time"] for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    for frame in frames:
        ((left, *_),) = [face["box"] for face in frame["faces"]]
        assert left == pytest.approx(10 + 2 * frame["frame"], abs=2)
    assert end == {"num_frames": 6, "problem": None}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        (Limits(video_seconds=0.5), 413, "The video is longer than 0.5 s"),
        (Limits(image_pixels=1000), 413, "The video has more than 0.001 million pixels"),
    ],
)
def test_videos_beyond_the_limits_are_refused(limits, status, words, video):
    with client_with(limits) as client:
        answer = client.post("/v1/video", files={"file": video})
    assert (answer.status_code, answer.json()["detail"].startswith(words)) == (status, True)


PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"


@pytest.mark.parametrize(
    ("data", "status"), [(PLAYLIST, 415), (b"", 415), (b"\x1aE\xdf\xa3" + bytes(1000), 422)]
)
def test_what_is_no_video_is_refused_and_not_kept(client, data, status, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    answer = client.post("/v1/video", files={"file": ("clip.mp4", data)})
    assert answer.status_code == status
    assert str(tmp_path) not in answer.text and list(tmp_path.iterdir()) == []


def test_a_video_that_breaks_off_says_so_in_its_last_line(client, video):
    *frames, end = records(client.post("/v1/video", files={"file": video[: len(video) * 2 // 3]}))
    assert 0 < len(frames) < 12
    assert end["num_frames"] == len(frames)
    assert end["problem"] == "The video cannot be read to its end: it is damaged or cut short."


def test_a_video_at_which_the_detector_fails_says_so_in_its_last_line(video):
    def fail_later(images):
        found = find_faces(images)
        assert all(faces.xyxy[0, 0] < 15 for faces in found)  # as in frames 0 to 2
        return found

    with client_with(find=fail_later) as client:
        *frames, end = records(
            client.post("/v1/video", files={"file": video}, data={"frames_per_second": 10})
        )
    assert end["num_frames"] == len(frames) == 3
    assert end["problem"] == "The detector failed at the frame that comes next."


def test_settings_are_those_of_the_service(client):
    settings = client.get("/v1/settings").json()
    assert (settings["model"], settings["lowest_score"]) == ("white squares", 0.01)
    assert settings["image_bytes"] == Limits().image_bytes
    assert (settings["threshold"], settings["hiding_threshold"]) == (0.5, 0.2)


def test_health_is_that_of_the_detector(client):
    assert client.get("/health").json() == {"status": "ok"}
    service: Service = client.app.state.service
    service.batcher.close()
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "detector stopped"})


def test_metrics_count_requests_faces_and_batches(client):
    for path in ("/v1/faces", "/v1/faces", "/v1/picture", "/nowhere", "/../etc/passwd"):
        client.post(path, files=SENT)
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'df2s2_requests_total{path="/v1/faces",status="200"} 2.0',
        'df2s2_requests_total{path="other",status="404"} 2.0',
        'df2s2_requests_in_progress{path="/metrics"} 1.0',
        'df2s2_requests_in_progress{path="/v1/faces"} 0.0',
        'df2s2_request_seconds_count{path="/v1/faces"} 2.0',
        "df2s2_faces_total 3.0",
        "df2s2_batch_images_sum 3.0",
        "df2s2_batch_seconds_count 3.0",
        "df2s2_waiting_images 0.0",
    ):
        assert line in lines


def test_schema_names_every_endpoint_and_what_it_answers(client):
    schema = client.get("/openapi.json").json()
    text = json.dumps(schema)
    for reference in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert reference in schema["components"]["schemas"]
    paths = {"/v1/faces", "/v1/picture", "/v1/video", "/v1/settings", "/health", "/metrics"}
    assert set(schema["paths"]) == paths
    for path in ("/v1/faces", "/v1/picture", "/v1/video"):
        answers = schema["paths"][path]["post"]["responses"]
        assert {"200", "413", "415", "422", "429", "503"} <= set(answers)
        assert answers["422"]["content"]["application/json"]["schema"]["$ref"].endswith("Problem")
    lines = schema["paths"]["/v1/video"]["post"]["responses"]["200"]["content"]
    forms = lines["application/x-ndjson"]["schema"]["anyOf"]
    assert [set(form["required"]) for form in forms] == [
        {"frame", "time", "width", "height", "faces"},
        {"num_frames", "problem"},
    ]


def test_no_answer_is_stored_and_pages_load_from_here_alone(client):
    for path in ("/", "/v1/settings", "/nowhere"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; ")


def test_page_needs_no_other_server(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    scripts = [
        client.get(f"/{name}.js").text for name in ("page", "sources", "drawing", "requests")
    ]
    named += [f"{name}.js" for text in scripts for name in re.findall(r'from "./(\w+)\.js"', text)]
    assert len(named) > 6
    for name in named:
        assert name == "data:," or client.get(f"/{name}").status_code == 200
    assert "://" not in "".join([page.text, *scripts]).replace("https:// and on localhost", "")


@pytest.mark.parametrize("path", ["/page/index.html", "/%2e%2e/app.py", "/docs", "/page.py"])
def test_nothing_else_can_be_read(client, path):
    assert client.get(path).status_code == 404


def test_every_file_of_the_page_is_given():
    from df2s2_d2.serving.page_files import PAGE_FILES

    folder = Path(create_app.__code__.co_filename).with_name("page")
    assert {path.name for path in folder.iterdir()} == {name for name, _ in PAGE_FILES.values()}


def test_a_fault_of_the_machine_is_a_sentence_too(monkeypatch, tmp_path):
    def fill_the_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "/secret")

    monkeypatch.setattr("shutil.copyfileobj", fill_the_disk)
    video = write_video(tmp_path / "clip.mp4", [scene((40, 30, 64, 54))]).read_bytes()
    with TestClient(create_app(model()), raise_server_exceptions=False) as client:
        answer = client.post("/v1/video", files={"file": video})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "The service failed at this request; its log says how."}
