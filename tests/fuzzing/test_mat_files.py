from __future__ import annotations

import io

import numpy as np
from hypothesis import strategies as st
from scipy.io import savemat

from df2s2_d2.evaluation import load_ground_truth
from df2s2_d2.evaluation.wider_face.attributes import load_attributes
from df2s2_d2.evaluation.wider_face.ground_truth import GroundTruth
from tests.evaluation.wider_face.attribute_files import add_attributes
from tests.evaluation.wider_face.ground_truth_files import cells, save_ground_truth
from tests.fuzzing.cases import mutated, noise
from tests.fuzzing.fuzzing import ends_well, fuzz

TOKENS = tuple(
    number.to_bytes(4, "little") for number in (0, 1, 5, 6, 14, 15, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 20)
)


def mat_bytes(variables: dict, packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=packed)
    return buffer.getvalue()


RIGHT = {
    "event_list": cells(["0--Parade", "1--Handshaking"]),
    "file_list": cells([cells(["a.b_1"]), cells(["c_2"])]),
    "face_bbx_list": cells([cells([np.array([[1, 2, 3, 4]])]), cells([np.ones((2, 4))])]),
}

leaves = st.sampled_from(
    ("0--Parade", "c_2", "", np.ones((2, 4)), np.ones((0, 4)), np.array([[np.nan]]), 3, 1e300)
    + (np.array([[1 + 2j]]), np.array([[True]]), np.ones((1, 4), np.uint8), {"a": 1})
)
contents = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(cells), max_leaves=6)
variables = st.dictionaries(st.sampled_from(tuple(RIGHT)), contents, max_size=3)


@fuzz(
    mutated(mat_bytes(RIGHT), mat_bytes(RIGHT, packed=True), tokens=TOKENS)
    | noise(mat_bytes(RIGHT)[:136])
    | variables.map(lambda changes: mat_bytes(RIGHT | changes))
)
def test_lists_of_faces(folder, case):
    if not (folder / "wider_hard_val.mat").exists():
        save_ground_truth(folder)
    (folder / "wider_face_val.mat").write_bytes(case)
    truth = ends_well(lambda: load_ground_truth(folder), str(folder))
    assert truth is None or np.isfinite(truth.boxes).all()


@fuzz(
    mutated(mat_bytes({"gt_list": cells([cells([[1]]), cells([[1, 2]])])}), tokens=TOKENS)
    | contents.map(lambda content: mat_bytes({"gt_list": content}))
)
def test_lists_of_kept_faces(folder, case):
    if not (folder / "wider_hard_val.mat").exists():
        save_ground_truth(folder)
    path = folder / "wider_medium_val.mat"
    path.write_bytes(case)
    truth = ends_well(lambda: load_ground_truth(folder), str(path))
    assert truth is None or truth.kept["medium"].shape == (3,)


def attributes_file(folder) -> bytes:
    save_ground_truth(folder)
    add_attributes(folder)
    return (folder / "wider_face_val.mat").read_bytes()


TRUTH = GroundTruth.from_heights({"0--Parade/a.b_1": np.ones((1, 4)), "c": np.ones((2, 4))})


@fuzz(st.integers(0, 2**32))
def test_attributes(folder, case):
    path = folder / "wider_face_val.mat"
    right = folder / "right.mat"
    if not right.exists():
        right.write_bytes(attributes_file(folder))
    data = bytearray(right.read_bytes())
    random = np.random.default_rng(case)
    for _ in range(random.integers(1, 4)):
        data[random.integers(128, len(data))] = random.integers(0, 256)
    path.write_bytes(bytes(data))
    attributes = ends_well(lambda: load_attributes(folder, TRUTH), str(path)) or {}
    assert all(values.shape == (3,) for values in attributes.values())
