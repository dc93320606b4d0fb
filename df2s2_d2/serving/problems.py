"""Why a request is not answered with faces: a status and a sentence for whoever sent it."""

from __future__ import annotations

import math

from fastapi import HTTPException
from pydantic import BaseModel, Field

# Status -> what it means, in the order of the schema.
MEANINGS = {
    400: "The body is no form of multipart/form-data.",
    403: "Sent by the page of another site.",
    408: "The body came too slowly.",
    413: "Too many bytes or pixels, or too long a video.",
    415: "No image, or no video, of a known format.",
    422: "A field is missing or wrong, or the file is broken.",
    429: "Too many requests of this client; Retry-After says when to come again.",
    500: "The detector or the service failed.",
    503: "Too many requests at once; Retry-After says when to come again.",
}


class Problem(BaseModel):
    """What is wrong with a request."""

    detail: str = Field(description="One sentence.")


class RequestProblem(HTTPException):
    """A request that is refused.

    Args:
        status: a key of :data:`MEANINGS`.
        sentence: says what is wrong, and what to do.
        retry_after: seconds after which it may be sent again; None if that would not help.
    """

    def __init__(self, status: int, sentence: str, retry_after: float | None = None):
        headers = None if retry_after is None else {"Retry-After": f"{math.ceil(retry_after)}"}
        super().__init__(status, sentence, headers)
