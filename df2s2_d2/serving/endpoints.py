"""What can be asked of the service by HTTP."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from df2s2_d2.inference.media.picture_options import HIDING_THRESHOLD, THRESHOLD
from df2s2_d2.inference.media.privacy import CELLS, MARGIN
from df2s2_d2.serving.batching import DetectorFailure
from df2s2_d2.serving.problems import MEANINGS, Problem, RequestProblem
from df2s2_d2.serving.schemas import FoundFaces, FrameFaces, Health, Settings, VideoEnd
from df2s2_d2.serving.service import Service
from df2s2_d2.serving.uploads import FORMATS
from df2s2_d2.serving.videos import FoundFrame, VideoUpload

FACES, PICTURE, VIDEO = "/v1/faces", "/v1/picture", "/v1/video"
SETTINGS, HEALTH, METRICS = "/v1/settings", "/health", "/metrics"

router = APIRouter()


def _service(request: Request) -> Service:
    return request.app.state.service


ServiceOf = Annotated[Service, Depends(_service)]
ImageFile = Annotated[UploadFile, File(description=f"an image: {', '.join(FORMATS)}")]
VideoFile = Annotated[UploadFile, File(description="a video: MP4, MOV, WebM, Matroska, AVI")]
Score = Form(ge=0, le=1, allow_inf_nan=False, description="faces with a higher score are found")
_MODEL = "#/components/schemas/{model}"
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": meaning} for status, meaning in MEANINGS.items()
}


@router.post(FACES, responses=_PROBLEMS, summary="Find the faces in an image")
async def find_faces(
    service: ServiceOf,
    request: Request,
    file: ImageFile,
    threshold: Annotated[float, Score] = THRESHOLD,
) -> FoundFaces:
    """The image is turned upright by its EXIF orientation; boxes are in its pixels then. The
    answer has the form of a record of `detections.json`.
    """
    upload = await service.open_image(file)
    return FoundFaces.of(await service.find_faces(upload, request, threshold))


@router.post(
    PICTURE,
    response_class=Response,
    responses={**_PROBLEMS, 200: {"content": {"image/jpeg": {}, "image/png": {}}}},
    summary="Draw or hide the faces in an image",
)
async def make_picture(
    service: ServiceOf,
    request: Request,
    file: ImageFile,
    look: Annotated[
        Literal["boxes", "pixelate", "smooth", "fill", "plain"],
        Form(description="faces framed, hidden in one of three ways, or not looked for"),
    ] = "boxes",
    threshold: Annotated[float | None, Score] = None,
    format: Annotated[Literal["jpeg", "png"], Form()] = "jpeg",
) -> Response:
    """Without a threshold, faces are framed as by `df2s2 detect` and hidden as by its `--blur`. A
    face that is not found stays visible: look the picture through before you publish it.
    """
    upload = await service.open_image(file)
    faces = None
    if look != "plain":
        if threshold is None:
            threshold = THRESHOLD if look == "boxes" else HIDING_THRESHOLD
        faces = await service.find_faces(upload, request, threshold)
    return Response(await service.draw(upload, faces, look, format), media_type=f"image/{format}")


# Written out, as the schema of other answers names no models that a stream is made of.
_LINES = [
    {
        key: value
        for key, value in model.model_json_schema(ref_template=_MODEL).items()
        if key != "$defs"
    }
    for model in (FrameFaces, VideoEnd)
]


class _JsonLines(StreamingResponse):
    """Lines of JSON as they are made, whose maker is ended with the request."""

    media_type = "application/x-ndjson"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


@router.post(
    VIDEO,
    response_class=Response,
    responses={
        **_PROBLEMS,
        200: {
            "description": "A line for each frame, and a last one about the whole.",
            "content": {_JsonLines.media_type: {"schema": {"anyOf": _LINES}}},
        },
    },
    summary="Find the faces in a video",
)
async def search_video(
    service: ServiceOf,
    file: VideoFile,
    threshold: Annotated[float, Score] = THRESHOLD,
    frames_per_second: Annotated[
        float, Form(gt=0, le=240, allow_inf_nan=False, description="that are looked at")
    ] = 5.0,
) -> StreamingResponse:
    """A line is sent as soon as its frame is done; how far the video goes and whether it could be
    read to its end says the last line.
    """
    video = await run_in_threadpool(VideoUpload, file.file, service.limits)
    lines = _video_lines(service, video, threshold, frames_per_second)
    # What is wrong with a video shows at its first frame, while a status can still be sent.
    first = await anext(lines)
    return _JsonLines(_joined(first, lines))


@router.get(SETTINGS, summary="What the service was started with")
async def read_settings(service: ServiceOf) -> Settings:
    limits = service.limits
    return Settings(
        model=service.model.name,
        lowest_score=service.model.lowest_score,
        threshold=THRESHOLD,
        hiding_threshold=HIDING_THRESHOLD,
        hiding_margin=MARGIN,
        hiding_cells=CELLS,
        image_formats=list(FORMATS),
        image_bytes=limits.image_bytes,
        image_pixels=limits.image_pixels,
        video_bytes=limits.video_bytes,
        video_seconds=limits.video_seconds,
        requests_per_minute=limits.requests_per_minute,
    )


@router.get(HEALTH, responses={503: {"model": Health}}, summary="Whether images are looked at")
async def check_health(service: ServiceOf, response: Response) -> Health:
    if service.batcher.is_alive:
        return Health(status="ok")
    response.status_code = 503
    return Health(status="detector stopped")


@router.get(METRICS, response_class=Response, summary="Counts, in the format of Prometheus")
async def read_metrics(service: ServiceOf) -> Response:
    return Response(service.metrics.text(), media_type=service.metrics.content_type)


async def _video_lines(
    service: Service, video: VideoUpload, threshold: float, per_second: float
) -> AsyncIterator[str]:
    num_frames = 0
    problem = None
    try:
        async with contextlib.aclosing(video.search(service.batcher, per_second)) as frames:
            async for found in frames:
                num_frames += 1
                yield _line(_frame_faces(service, found, threshold))
        problem = video.problem
        if not num_frames:
            raise RequestProblem(422, problem or "The video has no frames: send another.")
    except (RequestProblem, DetectorFailure) as error:
        if not num_frames:
            raise
        problem = getattr(error, "detail", "The detector failed at the frame that comes next.")
    finally:
        video.close()
    yield _line(VideoEnd(num_frames=num_frames, problem=problem))


def _frame_faces(service: Service, found: FoundFrame, threshold: float) -> FrameFaces:
    faces = found.faces[found.faces.scores > threshold]
    service.metrics.faces.inc(len(faces))
    return FrameFaces.of(faces, frame=found.index, time=found.time)


def _line(record: FrameFaces | VideoEnd) -> str:
    return json.dumps(record.model_dump(), allow_nan=False) + "\n"


async def _joined(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    async with contextlib.aclosing(others):
        yield first
        async for line in others:
            yield line
