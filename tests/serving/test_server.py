"""A service behind a real server: many clients at once, some of whom send what is broken."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
import torch
from PIL import Image

from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.predictor import TILE_ABOVE, Predictor
from df2s2_d2.serving.app import create_app
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.server import listen, load_model
from df2s2_d2.serving.service import Model
from tests.serving.services import SECONDS, encoded, find_faces, model, running
from tests.serving.test_uploads import png_of

ROOT = Path(__file__).resolve().parents[2]
NUM_CLIENTS = 50
PHOTOGRAPHS = [ROOT / f"docs/photographs/{name}.jpg" for name in ("astronaut", "grace_hopper")]
# What is sent, and the status of the answer.
BROKEN = [
    (encoded(np.zeros((96, 128, 3), np.uint8), "JPEG")[:-100], 422),
    (b"this is a text, whatever it is called\n", 415),
    (png_of(60_000, 60_000), 413),
    (bytes(3_000_000), 413),
]


def post(address: str, data: bytes) -> httpx2.Response:
    return httpx2.post(f"{address}v1/faces", files={"file": ("a.jpg", data)}, timeout=SECONDS)


@pytest.fixture(scope="module")
def small_photographs() -> list[bytes]:
    """Photographs that are looked at in no time, of several sizes."""
    photographs = [(Image.open(path), side) for path in PHOTOGRAPHS for side in (112, 144)]
    for photograph, side in photographs:
        photograph.thumbnail((side, side))
    return [encoded(np.asarray(photograph)) for photograph, _ in photographs]


def test_many_clients_get_what_a_predictor_finds_and_broken_files_harm_nobody(small_photographs):
    overrides = ["TEST.AUG.ENABLED", False, "INPUT.MIN_SIZE_TEST", 192]
    predictor = Predictor("faces-small", overrides=overrides, image_format="RGB")
    expected = [found[found.scores > 0.5] for found in predictor.find(small_photographs)]
    assert [len(faces) for faces in expected] == [1, 1, 1, 1]
    limits = Limits(image_bytes=2_000_000, requests_per_minute=0, images_at_once=NUM_CLIENTS)
    app = create_app(Model("faces-small", predictor.find, 0.01, predictor.batch_size), limits)
    start = threading.Barrier(NUM_CLIENTS)
    # Each third client sends something broken.
    broken, sound = (
        itertools.cycle(BROKEN),
        itertools.cycle(zip(small_photographs, expected, strict=True)),
    )
    sent = [next(broken if number % 3 == 0 else sound) for number in range(NUM_CLIENTS)]

    def ask(data: bytes) -> httpx2.Response:
        start.wait(SECONDS)
        return post(address, data)

    with running(app) as address, ThreadPoolExecutor(NUM_CLIENTS) as pool:
        answers = list(pool.map(ask, (data for data, _ in sent)))
        metrics = httpx2.get(f"{address}metrics", timeout=SECONDS).text
    for answer, (_, wanted) in zip(answers, sent, strict=True):
        if isinstance(wanted, int):
            assert answer.status_code == wanted, answer.text
            assert set(answer.json()) == {"detail"}
        else:
            assert answer.status_code == 200, answer.text
            found = Faces.from_dict(answer.json())
            assert found.image_size == wanted.image_size
            # Sums of a batch are rounded otherwise.
            np.testing.assert_allclose(found.xyxy, wanted.xyxy, atol=0.02)
            np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
    num_sound = sum(not isinstance(wanted, int) for _, wanted in sent)
    assert f"df2s2_batch_images_sum {num_sound:.1f}" in metrics.splitlines()


class HeldDetector:
    """Finds faces in what it has seen only once it is let go.

    Attributes:
        num_seen: images that it was given.
    """

    def __init__(self):
        self.num_seen = 0
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, images: list[np.ndarray]) -> list[Faces]:
        self.num_seen += len(images)
        self.has_begun.set()
        assert self.may_go_on.wait(SECONDS)
        return find_faces(images)


def wait_until(metric: str, address: str) -> None:
    """Wait until the service counts so."""
    deadline = time.monotonic() + SECONDS
    while metric not in httpx2.get(f"{address}metrics", timeout=SECONDS).text.splitlines():
        assert time.monotonic() < deadline, f"never came: {metric}"


def test_requests_beyond_the_places_are_refused_and_others_looked_at_together():
    detector = HeldDetector()
    app = create_app(model(detector, batch_size=3), Limits(images_at_once=4))
    with running(app) as address, ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(post, address, encoded())]
        assert detector.has_begun.wait(SECONDS)
        answers += [pool.submit(post, address, encoded()) for _ in range(3)]
        wait_until("df2s2_waiting_images 3.0", address)
        refused = post(address, encoded())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert httpx2.get(f"{address}health", timeout=SECONDS).json() == {"status": "ok"}
        detector.may_go_on.set()
        assert [answer.result().status_code for answer in answers] == [200] * 4
        metrics = httpx2.get(f"{address}metrics", timeout=SECONDS).text.splitlines()
    assert "df2s2_batch_images_count 2.0" in metrics and "df2s2_batch_images_sum 4.0" in metrics


def test_nobody_looks_at_the_image_of_a_client_that_has_gone():
    detector = HeldDetector()
    with running(create_app(model(detector))) as address, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, address, encoded())
        assert detector.has_begun.wait(SECONDS)
        request = httpx2.Request("POST", f"{address}v1/faces", files={"file": encoded()})
        gone = http.client.HTTPConnection(urlsplit(address).netloc, timeout=SECONDS)
        gone.request("POST", "/v1/faces", request.read(), dict(request.headers))
        wait_until("df2s2_waiting_images 1.0", address)
        gone.close()
        wait_until('df2s2_requests_total{path="/v1/faces",status="499"} 1.0', address)
        detector.may_go_on.set()
        assert answer.result().status_code == 200
    assert detector.num_seen == 1


def test_a_server_that_ends_answers_what_it_has_taken():
    detector = HeldDetector()

    def let_go_once_it_ends() -> None:
        host, port = urlsplit(address).netloc.split(":")
        with contextlib.suppress(OSError):
            while True:
                socket.create_connection((host, int(port)), SECONDS).close()
        detector.may_go_on.set()

    with ThreadPoolExecutor(2) as pool:
        with running(create_app(model(detector))) as address:
            answer = pool.submit(post, address, encoded())
            assert detector.has_begun.wait(SECONDS)
            pool.submit(let_go_once_it_ends)
        assert answer.result().status_code == 200


def test_an_address_that_is_taken_is_told_before_a_model_is_loaded():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1, port {port}, cannot be listened on"):
            listen("127.0.0.1", port)
    with pytest.raises(OSError, match="no.such.host, port 0, cannot be listened on"):
        listen("no.such.host", 0)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_addresses_of_ipv6_can_be_typed():
    with running(create_app(model())) as address:
        assert address.startswith("http://127.0.0.1:")
    try:
        listener = listen("::1", 0)
    except OSError as error:
        pytest.skip(f"no address of IPv6: {error}")
    with listener:
        from df2s2_d2.serving.server import address_of

        assert address_of(listener) == f"http://[::1]:{listener.getsockname()[1]}/"


def test_the_detector_is_the_one_that_detect_runs():
    def predictor_of(*words: str) -> Predictor:
        parser = argparse.ArgumentParser()
        DetectorOptions.add_arguments(parser)
        options = DetectorOptions.from_args(parser.parse_args(words))
        return load_model(options).find.__self__

    exact = predictor_of("--runtime", "torch", "--batch-size", "3")
    assert (exact.runtime, exact.model.dtype) == ("torch", torch.float32)
    assert (exact.batch_size, exact.image_format) == (3, "RGB")
    assert exact.choice.tile_above == TILE_ABOVE
    published = predictor_of("--precision", "bf16", "--opts", "TEST.PROTOCOL", "dsfd-multi-scale")
    assert published.model.dtype == torch.bfloat16
    assert published.choice.tile_above == 0  # as in the published test


def test_command_says_where_it_is_and_ends_as_it_is_told(checkpoint):
    process = subprocess.Popen(
        [sys.executable, "-m", "df2s2_d2", "serve", "--port", "0", "--weights", checkpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    try:
        said = process.stdout.readline()
        assert said.startswith("The page is at http://127.0.0.1:"), process.stderr.read()
        address = said.split()[4]
        with urllib.request.urlopen(f"{address}v1/settings", timeout=SECONDS) as answer:
            assert json.load(answer)["model"] == checkpoint
        broken = {"content-type": "multipart/form-data; boundary=x"}
        refused = httpx2.post(f"{address}v1/faces", content=b"y", headers=broken, timeout=SECONDS)
        assert refused.status_code == 400
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        assert (process.returncode, errors) == (-signal.SIGTERM, "")
    finally:
        watch.cancel()
        process.kill()
        process.wait()
