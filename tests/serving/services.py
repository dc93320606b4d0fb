"""Services for tests: a stand-in for the detector, its clients, and a server on a free port."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator

import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image

from df2s2_d2.inference.faces import Faces
from df2s2_d2.serving.server import address_of, listen
from df2s2_d2.serving.service import Model
from tests.inference.media.scenes import find_white, scene

# A generous bound for what comes as soon as it can.
SECONDS = 300


def find_faces(images: list[np.ndarray]) -> list[Faces]:
    """Stands for a detector: a white region has the score 0.9, its left half 0.3."""
    return [Faces.from_instances(found) for found in find_white(images)]


def model(
    find: Callable[[list[np.ndarray]], list[Faces]] = find_faces, batch_size: int = 4
) -> Model:
    """A model for a service."""
    return Model("white squares", find, lowest_score=0.01, batch_size=batch_size)


def encoded(image: np.ndarray | None = None, file_format: str = "PNG", **options) -> bytes:
    """An image file; of a scene with one face unless another image is given."""
    file = io.BytesIO()
    pixels = scene((40, 30, 64, 54)) if image is None else image
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()


@contextlib.contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port; gives its address, with a slash at its end."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            assert not thread.is_alive()
