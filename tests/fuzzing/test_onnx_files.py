from __future__ import annotations

import onnx
import pytest
from hypothesis import strategies as st

from df2s2_d2.inference.detect_onnx import FaceDetector
from tests.fuzzing.cases import mutated, tokens
from tests.fuzzing.fuzzing import ends_well, fuzz

RIGHT = {"channel_order": "BGR", "min_size_test": "800", "max_size_test": "1333"}


def model_bytes(metadata: dict[str, str]) -> bytes:
    kind = onnx.TensorProto.UINT8
    images, boxes = (onnx.helper.make_tensor_value_info(n, kind, [1]) for n in ("images", "boxes"))
    node = onnx.helper.make_node("Identity", ["images"], ["boxes"])
    graph = onnx.helper.make_graph([node], "faces", [images], [boxes])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.helper.set_model_props(model, metadata)
    return model.SerializeToString()


texts = (tokens | st.integers(-3, 2000).map(str)).map(
    lambda text: text.encode("utf-8", "ignore").decode()
)
metadata = st.fixed_dictionaries({}, optional={name: texts for name in RIGHT}).map(
    lambda changes: {**RIGHT, **changes}
)
fewer = st.dictionaries(st.sampled_from(tuple(RIGHT)), texts, max_size=2)


@fuzz((metadata | fewer).map(model_bytes) | mutated(model_bytes(RIGHT)), short=40)
def test_what_onnx_files_say_of_themselves(folder, case):
    path = folder / "faces.onnx"
    path.write_bytes(case)
    detector = ends_well(lambda: FaceDetector(str(path)), str(path))
    if detector is not None:
        assert detector.channel_order in ("RGB", "BGR")
        assert min(detector.resized((640, 480))) > 0


def test_the_seed_is_a_detector(folder):
    (folder / "faces.onnx").write_bytes(model_bytes(RIGHT))
    detector = FaceDetector(str(folder / "faces.onnx"))
    assert (detector.min_size, detector.max_size) == (800, 1333)


@pytest.mark.parametrize(
    "changes", [{"channel_order": "GBR"}, {"min_size_test": "-1"}, {"max_size_test": "9" * 5_000}]
)
def test_what_no_detector_says_is_told(folder, changes):
    path = folder / "faces.onnx"
    for wrong in (model_bytes(RIGHT | changes), model_bytes({"channel_order": "BGR"})):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match="expected the metadata channel_order"):
            FaceDetector(str(path))
