"""Faces in images of any kind, by a file of ``df2s2 export`` and without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from df2s2_d2.inference.detect_onnx import FaceDetector
from df2s2_d2.inference.face_finder import FaceFinder
from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.image_input import ImageLike
from df2s2_d2.inference.runtimes import open_engine
from df2s2_d2.models import local_file


class OnnxPredictor(FaceFinder[Faces]):
    """Finds faces in images, folders and videos by a file of ``df2s2 export``, on the CPU.

    It needs neither torch nor detectron2, takes what a
    :class:`~df2s2_d2.inference.predictor.Predictor` takes, and gives
    :class:`~df2s2_d2.inference.faces.Faces`. Each image is looked at in the one size that the file
    names, so that it finds what a Predictor with ``TEST.AUG.ENABLED`` False and ``tile_above`` 0
    finds.

    Args:
        model: name of a model with an ONNX file, such as "faces-small", or path of an exported
            file.
        image_format: order of the channels of arrays, "BGR" (OpenCV's) or "RGB".
        runtime: what runs the file: "onnx", which is ONNX Runtime, or "openvino", which alone runs
            files of OpenVINO (``*.xml``).
        precision: of the arithmetic, see :func:`~df2s2_d2.inference.runtimes.open_engine`.

    Raises:
        ModuleNotFoundError: if the runtime is not installed; says how.
        FileNotFoundError, ValueError: if there is no such file, or it is something else.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        image_format: str = "BGR",
        runtime: str = "onnx",
        precision: str = "fp32",
    ):
        # The network gets one image at a time: it would have to pad those of different sizes.
        super().__init__(batch_size=1, image_format=image_format)
        self._detector = FaceDetector(
            local_file(os.fspath(model), "onnx"),
            lambda path: open_engine(runtime, path, precision=precision)[:2],
        )

    def _as_faces(self, detections: Faces) -> Faces:
        return detections

    def _detect_each(self, images: Iterable[ImageLike]) -> Iterator[Faces]:
        for index, image in enumerate(images):
            pixels = np.ascontiguousarray(self._pixels(index, image, "RGB"))
            boxes, scores = self._detector(Image.fromarray(pixels))
            yield Faces(boxes, scores, pixels.shape[:2])
