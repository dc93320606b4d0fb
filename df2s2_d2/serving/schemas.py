"""What the service answers, as its schema tells."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from df2s2_d2.inference.faces import Faces


class FoundFace(BaseModel):
    """One face."""

    box: tuple[float, float, float, float] = Field(
        description="left, top, right and bottom in pixels of the upright image"
    )
    score: float = Field(ge=0, le=1)


class FoundFaces(BaseModel):
    """The faces of an image, by descending score: a record as in `detections.json`."""

    width: int
    height: int
    faces: list[FoundFace]

    @classmethod
    def of(cls, faces: Faces, **place: float) -> FoundFaces:
        """The same as numbers; ``place`` are the other fields of a record."""
        return cls.model_validate({**place, **faces.to_dict()})


class FrameFaces(FoundFaces):
    """The faces of a frame of a video."""

    frame: int = Field(description="number in the video, from 0")
    time: float = Field(description="seconds since the beginning of the video")


class VideoEnd(BaseModel):
    """The last line about a video; without it, the answer was cut short."""

    num_frames: int = Field(description="that were looked at")
    problem: str | None = Field(description="what ended the video early; null if nothing has")


class Health(BaseModel):
    """Whether images are looked at."""

    status: Literal["ok", "detector stopped"]


class Settings(BaseModel):
    """What the service was started with."""

    model: str
    lowest_score: float = Field(description="no face with a lower one is ever found")
    threshold: float = Field(description="of faces, unless a request says otherwise")
    hiding_threshold: float = Field(description="of faces that are hidden, likewise")
    hiding_margin: float = Field(
        description="hidden on each side of a box, as a share of its width or height"
    )
    hiding_cells: int = Field(description="colours a side that a hidden face keeps")
    image_formats: list[str]
    image_bytes: int
    image_pixels: int
    video_bytes: int
    video_seconds: float
    requests_per_minute: int = Field(description="0 for any number")
