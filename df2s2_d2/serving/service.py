"""A detector as a service: what its requests share, and what is done for each."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import anyio
import numpy as np
from fastapi import HTTPException, Request, UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.media.frame_search import MOST_BYTES
from df2s2_d2.inference.media.privacy import hide_faces
from df2s2_d2.serving.batching import Batcher
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.metrics import Metrics
from df2s2_d2.serving.problems import RequestProblem
from df2s2_d2.serving.uploads import ImageUpload

# Pictures in memory at once, each beside its original.
_PICTURES_AT_ONCE = 2
_JPEG_QUALITY = 95
# What servers note of a request whose client has gone; nobody sees it.
_CLIENT_GONE = 499


@dataclass(frozen=True)
class Model:
    """A detector that finds faces in several RGB images.

    Attributes:
        name: for those who ask.
        find: maps (H, W, 3) uint8 arrays to the faces in each.
        lowest_score: of the faces that it gives.
        batch_size: most images that it gets at once.
    """

    name: str
    find: Callable[[list[np.ndarray]], list[Faces]]
    lowest_score: float
    batch_size: int


class Service:
    """A model at work, within limits.

    Attributes:
        model, limits: as given.
        batcher: gives the model its images.
        metrics: counts what is done.
    """

    def __init__(self, model: Model, limits: Limits):
        self.model = model
        self.limits = limits
        self.metrics = Metrics(lambda: self.batcher.num_waiting)
        self.batcher = Batcher(
            model.find,
            batch_size=model.batch_size,
            max_pixels=MOST_BYTES // 3,
            report=self.metrics.count_batch,
        )
        self._pictures = anyio.CapacityLimiter(_PICTURES_AT_ONCE)

    async def open_image(self, file: UploadFile) -> ImageUpload:
        """Read an image that was sent.

        Raises:
            RequestProblem: if it is none, or too large.
        """
        data = await file.read()
        return await run_in_threadpool(ImageUpload.check, data, self.limits.image_pixels)

    async def find_faces(self, upload: ImageUpload, request: Request, threshold: float) -> Faces:
        """Look for faces, unless the client goes away before.

        Args:
            upload: the image.
            request: that waits for them.
            threshold: of the faces that are told; all have a higher score.

        Raises:
            ImageError: if the image cannot be decoded.
            DetectorFailure: if the detector fails.
        """
        found = await _while_connected(
            self.batcher.submit(upload.pixels, upload.num_pixels), request
        )
        faces = found[found.scores > threshold]
        self.metrics.faces.inc(len(faces))
        return faces

    async def draw(
        self, upload: ImageUpload, faces: Faces | None, look: str, file_format: str
    ) -> bytes:
        """Make a picture.

        Args:
            upload: the image.
            faces: in it; None leaves it as it is.
            look: "boxes", or a style of :func:`~df2s2_d2.inference.media.privacy.hide_faces`.
            file_format: "jpeg" or "png".

        Raises:
            ImageError: if the image cannot be decoded.
            RequestProblem: if the format cannot hold it.
        """
        draw = functools.partial(_draw, upload, faces, look, file_format)
        return await anyio.to_thread.run_sync(draw, limiter=self._pictures)


async def _while_connected(found: Future[Faces], request: Request) -> Faces:
    """The result of a future, which is cancelled as soon as nobody waits for it."""
    faces = asyncio.wrap_future(found)
    gone = asyncio.ensure_future(_disconnection(request))
    try:
        await asyncio.wait((faces, gone), return_when=asyncio.FIRST_COMPLETED)
        if faces.done():
            return faces.result()
        raise HTTPException(_CLIENT_GONE, "The client has closed the connection.")
    finally:
        faces.cancel()
        gone.cancel()


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _draw(upload: ImageUpload, faces: Faces | None, look: str, file_format: str) -> bytes:
    picture = upload.pixels()
    if faces is not None and look == "boxes":
        picture = faces.draw(picture)
    elif faces is not None:
        picture = hide_faces(picture, faces.xyxy, look)
    file = io.BytesIO()
    try:
        Image.fromarray(picture).save(file, file_format, quality=_JPEG_QUALITY)
    except OSError as error:
        height, width = picture.shape[:2]
        raise RequestProblem(
            422, f"A {file_format} cannot hold {width} x {height} pixels: ask for another format."
        ) from error
    return file.getvalue()
