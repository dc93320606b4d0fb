"""Errors of images that stay one sentence on their way out of a data loader's worker.

torch raises a worker's error again in the main process, as the same class, but with the worker's
traceback in its message. These classes take the traceback out again.
"""

from __future__ import annotations


class OneSentence(Exception):
    """An error whose message is one sentence, wherever it was raised."""

    def __init__(self, message: object) -> None:
        super().__init__(_without_traceback(str(message)))


def _without_traceback(message: str) -> str:
    if message.startswith("Caught ") and "\nOriginal Traceback" in message:
        # The traceback's last line: the class, a colon, and the sentence.
        message = message.rstrip().rpartition("\n")[2].partition(": ")[2]
    return " ".join(message.split())


class ImageError(OneSentence, OSError):
    """An image cannot be read; the message names it."""


class MissingImageError(ImageError, FileNotFoundError):
    """There is no file of that name."""


class BrokenImageError(ImageError):
    """A file was read, but holds no image that can be decoded."""


def one_line(error: Exception) -> str:
    """The message of an error on one line, or its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
