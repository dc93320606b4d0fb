from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.evaluation import load_ground_truth
from df2s2_d2.evaluation.wider_face.attributes import (
    ATTRIBUTE_VALUES,
    group_by_attributes,
    load_attributes,
)
from df2s2_d2.formats.wider_face_text import ATTRIBUTES, read_annotations
from tests.evaluation.wider_face.attribute_files import add_attributes
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth


def test_values_come_in_the_order_of_the_faces(tmp_path):
    save_ground_truth(tmp_path)
    add_attributes(tmp_path, ((2,), (0, 1)))
    attributes = load_attributes(tmp_path, load_ground_truth(tmp_path))
    assert list(attributes) == list(ATTRIBUTE_VALUES)
    assert all(values.tolist() == [2, 0, 1] for values in attributes.values())


def test_groups_are_named_by_the_meaning_of_the_values():
    groups = group_by_attributes({"blur": np.array([2, 0, 1, 2]), "pose": np.array([1, 0, 0, 1])})
    assert {k: {n: m.tolist() for n, m in v.items()} for k, v in groups.items()} == {
        "blur": {
            "clear": [False, True, False, False],
            "normal": [False, False, True, False],
            "heavy": [True, False, False, True],
        },
        "pose": {"typical": [False, True, True, False], "atypical": [True, False, False, True]},
    }


def test_file_without_attributes_or_with_too_few_is_an_error(tmp_path):
    save_ground_truth(tmp_path)
    ground_truth = load_ground_truth(tmp_path)
    with pytest.raises(ValueError, match=r"wider_face_val.mat lacks the variable blur_label_list"):
        load_attributes(tmp_path, ground_truth)
    add_attributes(tmp_path, ((1, 1), (0,)))  # as many in all, but not in each image
    with pytest.raises(ValueError, match=r"blur_label_list has not one value for each face"):
        load_attributes(tmp_path, ground_truth)


def test_annotation_text_lists_the_same_faces_and_values_in_the_same_order(shared_data):
    folder = shared_data / "official/wider_face"
    directory = folder / "eval_tools/ground_truth"
    ground_truth = load_ground_truth(directory)
    attributes = load_attributes(directory, ground_truth)
    images = read_annotations(str(folder / "wider_face_split/wider_face_val_bbx_gt.txt"))
    assert tuple(image.path.removesuffix(".jpg") for image in images) == ground_truth.images
    np.testing.assert_array_equal(np.concatenate([i.boxes for i in images]), ground_truth.boxes)
    for name in ATTRIBUTES:
        columns = [i.ignored if name == "invalid" else i.attributes[name] for i in images]
        column = np.concatenate(columns)
        np.testing.assert_array_equal(attributes[name], column, err_msg=name)
        assert column.max() == len(ATTRIBUTE_VALUES[name]) - 1
