"""Video files, streams and cameras read, and video files written, by PyAV or by OpenCV."""

from __future__ import annotations

import importlib.util

from df2s2_d2.missing_packages import with_remedy


def writes_h264() -> bool:
    """Whether videos are written as browsers play them; builds of PyAV without x264 do not."""
    if not is_pyav_installed():
        return False
    from av.codec import codecs_available

    return "libx264" in codecs_available


def is_pyav_installed() -> bool:
    """Whether videos are read and written by PyAV; OpenCV stands in for it where it is not."""
    return importlib.util.find_spec("av") is not None


def require_pyav() -> None:
    """Refuse what only PyAV does.

    Raises:
        ModuleNotFoundError: if it is not installed; says how to do that.
    """
    if not is_pyav_installed():
        raise with_remedy(ModuleNotFoundError("No module named 'av'", name="av"))
