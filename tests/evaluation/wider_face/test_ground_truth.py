from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from df2s2_d2.evaluation import GroundTruth, load_ground_truth
from tests.evaluation.wider_face.ground_truth_files import cells, save_ground_truth


def test_settings_by_height():
    boxes = {"e/a": [[0, 0, 5, 60], [0, 0, 5, 30], [0, 0, 5, 29]], "e/b": [], "e/c": [[0, 0, 5, 9]]}
    truth = GroundTruth.from_heights(boxes, ignored={"e/a": np.array([True, False, False])})
    assert truth.images == ("e/a", "e/b", "e/c")
    assert truth.image_index.tolist() == [0, 0, 0, 2]
    assert {setting: mask.tolist() for setting, mask in truth.kept.items()} == {
        "easy": [False, False, False, False],
        "medium": [False, True, False, False],
        "hard": [False, True, True, False],
    }
    own = GroundTruth.from_heights(boxes, {"all": 0})
    assert own.kept["all"].all()


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"e/i": np.array([True, False])}, r"e/i: the mask 'easy' must be boolean of shape \(1,\)"),
        ({"e/i": np.array([1])}, "must be boolean"),
        ({"e/typo": np.array([True])}, "'easy' names e/typo, which is not among the boxes"),
    ],
)
def test_masks_must_fit_the_boxes(kept, message):
    with pytest.raises(ValueError, match=message):
        GroundTruth.from_annotations({"e/i": [[0, 0, 9, 9]]}, {"easy": kept})


def test_ground_truth_files(tmp_path):
    save_ground_truth(tmp_path, kept_lists=((), (2,)))
    truth = load_ground_truth(tmp_path)
    assert truth.images == ("0--Parade/a.b_1", "1--Handshaking/c_2")
    assert truth.image_index.tolist() == [0, 1, 1]
    assert truth.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]]
    assert truth.boxes.dtype == np.float64
    assert truth.kept["hard"].tolist() == [False, False, True]


def test_missing_ground_truth_file_is_named(tmp_path):
    save_ground_truth(tmp_path)
    (tmp_path / "wider_medium_val.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"wider_medium_val\.mat not found.*eval_tools"):
        load_ground_truth(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"not a MATLAB file" * 20, "cut"])
def test_damaged_ground_truth_file_is_named(tmp_path, damage):
    save_ground_truth(tmp_path)
    path = tmp_path / "wider_hard_val.mat"
    path.write_bytes(path.read_bytes()[:300] if damage == "cut" else damage)
    with pytest.raises(ValueError, match=r"wider_hard_val\.mat"):
        load_ground_truth(tmp_path)


@pytest.mark.parametrize("lists", [((1,), (3,)), ((0,), (1,)), ((1,),)])
def test_lists_that_do_not_fit_the_faces(tmp_path, lists):
    save_ground_truth(tmp_path, lists)
    with pytest.raises(ValueError, match=r"wider_easy_val\.mat.*one release"):
        load_ground_truth(tmp_path)


def test_ground_truth_without_its_variables(tmp_path):
    save_ground_truth(tmp_path)
    savemat(tmp_path / "wider_face_val.mat", {"event_list": cells(["a"])})
    with pytest.raises(ValueError, match=r"wider_face_val\.mat lacks the variable file_list"):
        load_ground_truth(tmp_path)


def test_small_real_ground_truth(shared_data):
    truth = load_ground_truth(shared_data / "mini/wider_face/eval_tools/ground_truth")
    assert (len(truth.images), len(truth.boxes)) == (200, 4372)
    counts = {setting: int(mask.sum()) for setting, mask in truth.kept.items()}
    assert counts == {"easy": 548, "medium": 1189, "hard": 3477}
