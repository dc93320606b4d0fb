"""Static quantisation: convolutions in 8-bit integers, by ranges seen in photographs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeTransform
from tqdm import tqdm

from df2s2_d2.inference.image_input import read_file
from df2s2_d2.inference.media.sources import find_sources
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice

if TYPE_CHECKING:
    import onnx

# Operators that take quantised maps: beside convolutions what bounds their outputs, for a range is
# spent on values that are cut off otherwise.
_QUANTIZED = ["Conv", "Clip", "Relu"]
# Of the heads, by their names in the detector.
_PREDICTORS = ("face_logits", "box_deltas")
# Photographs that calibrate, of more evenly spread ones: the ranges have settled by then.
MOST_PHOTOGRAPHS = 20


def quantize_onnx(path: Path, images: Iterable[np.ndarray]) -> None:
    """Rewrite an ONNX file so that its convolutions multiply 8-bit integers.

    Weights get a scale for each channel, maps one whose range holds all that they had in the
    images. The layers that give scores and boxes stay in single precision.

    Args:
        path: the file of a detector, which is not quantised.
        images: (1, 3, H, W) uint8, as the detector gets them; at least one.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    original = onnx.load(path)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "quantized.onnx"
        quantize_static(
            original,
            file,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=_predictors(original),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(file)
    _drop_leftovers(model)
    del model.metadata_props[:]
    model.metadata_props.extend(original.metadata_props)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _drop_leftovers(model: onnx.ModelProto) -> None:
    """Remove limits of operators that quantisation replaced, and sets of operators not in use."""
    domains = {node.domain for node in model.graph.node}
    for opset in [opset for opset in model.opset_import if opset.domain not in domains]:
        model.opset_import.remove(opset)
    read = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in read]:
        model.graph.initializer.remove(tensor)


def calibration_images(paths: Sequence[str], cfg: CfgNode) -> Iterator[np.ndarray]:
    """Photographs as a detector gets them, in all sizes that its config looks at them in.

    Args:
        paths: of images, and of folders with images.
        cfg: of the detector.

    Returns:
        An iterator over arrays (1, 3, H, W) uint8; it raises OSError for an image that cannot be
        read.

    Raises:
        FileNotFoundError: if a path does not exist; names it.
        ValueError: if there is no image.
    """
    files = [source.path for source in find_sources(paths) if not source.is_video]
    if not files:
        raise ValueError(f"{', '.join(paths)}: there are no images to calibrate by")
    places = np.linspace(0, len(files) - 1, min(len(files), MOST_PHOTOGRAPHS)).round().astype(int)
    return _in_sizes([files[place] for place in np.unique(places)], cfg)


def _in_sizes(files: list[Path], cfg: CfgNode) -> Iterator[np.ndarray]:
    choice = ScaleChoice.from_config(cfg, tile_above=0, divisor=1)
    for path in tqdm(files, "calibrating", unit="image", disable=None):
        pixels = read_file(path, cfg.INPUT.FORMAT)
        for scale in choice.scales_for(pixels.shape[:2]):
            size = scale.resized(pixels.shape[:2])
            if choice.fits(size):  # else it would be looked at in tiles
                resized = ResizeTransform(*pixels.shape[:2], *size).apply_image(pixels)
                yield np.ascontiguousarray(resized.transpose(2, 0, 1))[None]


def _predictors(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions that give scores and boxes."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and any(part in node.name for part in _PREDICTORS)
    ]


class _Reader:
    """A CalibrationDataReader of onnxruntime."""

    def __init__(self, images: Iterable[np.ndarray]):
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"images": image}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that onnxruntime logs, in Python by functions of the root logger."""
    import onnxruntime

    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)  # errors
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)
        logging.disable(previous)
