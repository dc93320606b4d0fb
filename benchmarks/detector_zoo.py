"""The detectors that are compared: the shipped one, peers in ONNX files, and a large one."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from torch import nn

from benchmarks import complexity
from benchmarks.inference import find_score_threshold
from benchmarks.models import calibrate_untrained, random_images
from benchmarks.onnx_detectors import (
    CenterFace,
    ExportedFaces,
    Thresholds,
    YuNet,
    YuNetInOpenCV,
    peer_file,
)
from benchmarks.onnx_networks import count_macs, count_parameters
from df2s2_d2 import load_config
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.export import export_detector
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.inference.trained_weights import load_trained, without_training_parts

PYTORCH, FAST, ONNX, OPENCV = "PyTorch", "PyTorch, fast path", "ONNX Runtime", "OpenCV"
# Boxes an image that enter NMS in a detector with random weights.
_UNTRAINED_CANDIDATES = 1000


@dataclass(frozen=True)
class Candidate:
    """A detector as one engine runs it.

    Attributes:
        detector: name of the network.
        engine: what runs it.
        model: maps ``list[dict]`` to ``list[dict]``, as detectron2's models do.
        image_format: order of the channels of the images that it wants.
    """

    detector: str
    engine: str
    model: nn.Module
    image_format: str

    @property
    def name(self) -> str:
        return f"{self.detector}, {self.engine}"


class DetectorZoo:
    """The networks of a run, read and checked once; candidates are built of them.

    Attributes:
        cfg: of the small detector.
        networks: for each its file, parameters and operations, ready for JSON.

    Args:
        weights: checkpoint of the small detector; it carries its config.
        yunet, centerface: files of the peers, see
            :func:`~benchmarks.onnx_detectors.peer_file`; without one the peer is left out.
        reference: config of the large detector, which gets random weights.
        size: height and width at which operations are counted.

    Raises:
        ImportError, OSError, ValueError: naming the file and what is wrong with it.
    """

    def __init__(
        self,
        weights: Path,
        yunet: Path | None,
        centerface: Path | None,
        reference: Path,
        size: tuple[int, int],
    ):
        self.small, self.reference = weights.stem, reference.stem
        self.yunet_file = yunet
        files = {kind: path for kind, path in ((YuNet, yunet), (CenterFace, centerface)) if path}
        contents = {kind: peer_file(kind, path) for kind, path in files.items()}
        self._peers = {kind: kind.read(contents[kind], str(files[kind])) for kind in files}
        self.cfg = without_training_parts(config_of(str(weights)))
        self.cfg.MODEL.DEVICE = "cpu"
        self._detector = build_model(self.cfg).eval()
        load_trained(self._detector, str(weights))
        self._exported = _exported(self._detector, self.cfg, self.small)
        self._thresholds = Thresholds.from_config(self.cfg)
        large_cfg = without_training_parts(load_config(str(reference), ["MODEL.DEVICE", "cpu"]))
        self._large, self._large_format = untrained_detector(large_cfg), large_cfg.INPUT.FORMAT
        small, large = {"detector": self.small}, {"detector": self.reference}
        self.networks = [
            {**small, **_about_file(weights.read_bytes()), **_cost(self._detector, size)},
            *(
                {
                    "detector": kind.name,
                    **_about_file(contents[kind]),
                    "parameters": count_parameters(network),
                    "macs": count_macs(network, *size),
                }
                for kind, network in self._peers.items()
            ),
            {**large, **_about_file(None), **_cost(self._large, size)},
        ]

    def candidates(self, threads: int) -> list[Candidate]:
        """The detectors that find faces, on a number of threads; first the small one as a file."""
        exported = ExportedFaces(self._exported, threads)
        found = [
            Candidate(self.small, ONNX, exported, exported.image_format),
            Candidate(self.small, FAST, optimize(self._detector), self.cfg.INPUT.FORMAT),
        ]
        for kind, network in self._peers.items():
            peer = kind(network, threads, self._thresholds)
            found.append(Candidate(kind.name, ONNX, peer, kind.image_format))
        if self.yunet_file:
            peer = YuNetInOpenCV(self.yunet_file, self._thresholds)
            found.append(Candidate(YuNet.name, OPENCV, peer, peer.image_format))
        return found

    def plain(self) -> Candidate:
        """The small detector as it is trained, to be timed: it finds what its fast path finds."""
        return Candidate(self.small, PYTORCH, self._detector, self.cfg.INPUT.FORMAT)

    def references(self) -> list[Candidate]:
        """The large detector, to be timed."""
        models = {PYTORCH: self._large, FAST: optimize(self._large)}
        return [Candidate(self.reference, k, v, self._large_format) for k, v in models.items()]


def _exported(detector: nn.Module, cfg: CfgNode, name: str) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        export_detector(detector, cfg, path, name)
        return onnx.load(path)


@torch.no_grad()
def untrained_detector(cfg: CfgNode) -> nn.Module:
    """A detector with random weights and a bounded number of candidates."""
    detector = build_model(cfg)
    images = random_images(2, (256, 320))
    calibrate_untrained(detector, images)
    inputs = [{"image": image} for image in images]
    threshold = find_score_threshold(detector.eval(), inputs, _UNTRAINED_CANDIDATES)
    detector.score_threshold, detector.num_candidates = threshold, _UNTRAINED_CANDIDATES
    return detector


def _cost(detector: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    return {
        "parameters": complexity.count_parameters(detector),
        "macs": complexity.count_macs(detector, *size),
    }


def _about_file(content: bytes | None) -> dict[str, Any]:
    """Length and hash of a file; nothing of a network without one."""
    if content is None:
        return {"bytes": None, "sha256": None}
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
