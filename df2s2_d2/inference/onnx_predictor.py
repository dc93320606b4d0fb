"""Faces in images of any kind, by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from df2s2_d2.inference.detect_onnx import FaceDetector
from df2s2_d2.inference.face_finder import FaceFinder
from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.image_input import ImageLike
from df2s2_d2.missing_packages import with_remedy
from df2s2_d2.models import local_file


class OnnxPredictor(FaceFinder[Faces]):
    """Finds faces in images, folders and videos by a file of ``df2s2 export``, on the CPU.

    It needs neither torch nor detectron2, takes what a
    :class:`~df2s2_d2.inference.predictor.Predictor` takes, and gives
    :class:`~df2s2_d2.inference.faces.Faces`. Each image is looked at in the one size that the file
    names, so that it finds what a Predictor with ``TEST.AUG.ENABLED`` False and ``tile_above`` 0
    finds.

    Args:
        model: name of a model with an ONNX file, such as "faces-small", or path of a file.
        image_format: order of the channels of arrays, "BGR" (OpenCV's) or "RGB".

    Raises:
        ModuleNotFoundError: if onnxruntime is not installed; says how.
        FileNotFoundError, ValueError: if there is no such file, or it is something else.
    """

    def __init__(self, model: str | os.PathLike, *, image_format: str = "BGR"):
        # The network gets one image at a time: it would have to pad those of different sizes.
        super().__init__(batch_size=1, image_format=image_format)
        path = local_file(os.fspath(model), "onnx")
        if not os.path.isfile(path):
            raise FileNotFoundError(f"The model {path} does not exist: give an ONNX file or a name")
        try:
            self._detector = FaceDetector(path)
        except ModuleNotFoundError as error:
            raise with_remedy(error) from error

    def _as_faces(self, detections: Faces) -> Faces:
        return detections

    def _detect_each(self, images: Iterable[ImageLike]) -> Iterator[Faces]:
        for index, image in enumerate(images):
            pixels = np.ascontiguousarray(self._pixels(index, image, "RGB"))
            boxes, scores = self._detector(Image.fromarray(pixels))
            yield Faces(boxes, scores, pixels.shape[:2])
