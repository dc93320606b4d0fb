"""Find faces for browsers and programs: a web page and an HTTP endpoint.

  df2s2 serve
  df2s2 serve --port 8080 --weights model.pth
  df2s2 serve --host 0.0.0.0 --max-image-mb 5 --requests-per-minute 60

Pictures, videos and the camera's frames are looked at in this machine's memory, and not kept. The
endpoint's schema is at /openapi.json; /health and /metrics are for whoever watches over it. It has
neither passwords nor TLS: beyond this machine, put a server in front of it that has.
"""

from __future__ import annotations

import argparse
import os

from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.serving.server_options import ServerOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    ServerOptions.add_arguments(parser)
    DetectorOptions.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    options = ServerOptions.from_args(args)
    # OpenCV and its ffmpeg would write lines of their own about videos that are refused.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from df2s2_d2.serving.server import serve

    serve(DetectorOptions.from_args(args), options)
