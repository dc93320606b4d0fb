"""The service as an ASGI application, which any server runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

import df2s2_d2
from df2s2_d2.images.errors import BrokenImageError, ImageError
from df2s2_d2.serving import endpoints
from df2s2_d2.serving.admission import Admission, Lane
from df2s2_d2.serving.batching import DetectorFailure
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.metrics import Measured
from df2s2_d2.serving.page_files import PAGE_FILES, page_router
from df2s2_d2.serving.rate_limit import RateLimit
from df2s2_d2.serving.security_headers import SecurityHeaders
from df2s2_d2.serving.service import Model, Service

logger = logging.getLogger(__name__)

# Seconds after which a place is likely to be free: an image takes one, a video many.
_IMAGE_RETRY, _VIDEO_RETRY = 1, 15
_MEMORY_RETRY = 5


def create_app(model: Model, limits: Limits | None = None) -> FastAPI:
    """Make the application of a service, which begins to look at images at once.

    Args:
        model: finds the faces.
        limits: of what clients may send; None for the defaults.

    Returns:
        An ASGI application. When its server shuts it down, what waits is still answered.
    """
    limits = limits or Limits()
    service = Service(model, limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.batcher.close)

    app = FastAPI(
        title="Faces",
        summary="Finds faces in images and videos.",
        version=df2s2_d2.__version__,
        lifespan=lifespan,
        # These pages load scripts from other servers.
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.include_router(endpoints.router)
    app.include_router(page_router())
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ImageError, _answer_unreadable)
    app.add_exception_handler(DetectorFailure, _answer_failure)
    app.add_exception_handler(Exception, _answer_fault)
    images = Lane(limits.image_bytes, limits.images_at_once, _IMAGE_RETRY)
    videos = Lane(limits.video_bytes, limits.videos_at_once, _VIDEO_RETRY)
    lanes = {endpoints.FACES: images, endpoints.PICTURE: images, endpoints.VIDEO: videos}
    # The last is the outermost.
    app.add_middleware(Admission, lanes=lanes, rate=RateLimit(limits.requests_per_minute))
    paths = {*lanes, *PAGE_FILES, endpoints.SETTINGS, endpoints.HEALTH, endpoints.METRICS}
    app.add_middleware(Measured, metrics=service.metrics, paths=paths)
    app.add_middleware(SecurityHeaders)
    return app


async def _answer_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """One sentence about the first field that is wrong."""
    first = error.errors()[0]
    field = first["loc"][-1]
    return JSONResponse({"detail": f"{field}: {first['msg']}."}, 422)


async def _answer_unreadable(_: Request, error: ImageError) -> JSONResponse:
    if isinstance(error, BrokenImageError):
        return JSONResponse({"detail": str(error)}, 422)
    logger.error("An image could not be read: %s", error)
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(_MEMORY_RETRY)})


async def _answer_failure(_: Request, error: DetectorFailure) -> JSONResponse:
    # What failed is told to whoever runs the service, not to strangers.
    logger.error("%s", error, exc_info=error.__cause__)
    return JSONResponse({"detail": "The detector failed at this image."}, 500)


async def _answer_fault(_: Request, __: Exception) -> JSONResponse:
    """Of the machine, such as a full disk, or of this program; the server logs it."""
    return JSONResponse({"detail": "The service failed at this request; its log says how."}, 500)
