from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from df2s2_d2.evaluation import load_ground_truth
from df2s2_d2.evaluation.wider_face.attributes import load_attributes
from tests.evaluation.wider_face.attribute_files import add_attributes
from tests.evaluation.wider_face.ground_truth_files import cells, save_ground_truth


def names(*stems: str) -> np.ndarray:
    return cells([cells([stem]) for stem in stems])


RIGHT = {
    "event_list": cells(["0--Parade", "1--Handshaking"]),
    "file_list": names("a.b_1", "c_2"),
    "face_bbx_list": cells([cells([np.array([[1, 2, 3, 4]])]), cells([np.ones((2, 4))])]),
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"event_list": np.ones(2)}, "expected cells in the variable event_list"),
        ({"event_list": cells(["0--Parade"])}, "1 events but 2 lists of files"),
        ({"event_list": cells([np.ones(2), "b"])}, "event_list: expected a name in each cell"),
        ({"event_list": cells(["e", "e"]), "file_list": names("a", "a")}, "names an image twice"),
        ({"file_list": cells(["a", "b"])}, "file_list: expected cells of images in each event"),
        ({"file_list": names("a", np.ones(1))}, "file_list: expected a name in each cell"),
        ({"face_bbx_list": cells([np.ones((1, 4))] * 2)}, "face_bbx_list: expected cells of image"),
        ({"face_bbx_list": names("text", "x")}, "fetch the official file again"),
        ({"face_bbx_list": cells([cells([np.ones((1, 4))])])}, "2 images but 1 lists of boxes"),
    ],
)
def test_another_content_is_an_error_that_names_the_file(tmp_path, changes, words):
    save_ground_truth(tmp_path)
    savemat(tmp_path / "wider_face_val.mat", RIGHT | changes)
    with pytest.raises(ValueError, match=words) as caught:
        load_ground_truth(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "wider_face_val.mat"))


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        (cells([np.ones(1), np.ones(2)]), "gt_list: expected cells of images in each event"),
        (names("a", "bc"), "gt_list: expected numbers for every image"),
        (cells([cells([[0.5]]), cells([[1]])]), "gt_list: expected whole numbers"),
        (cells([cells([[np.nan]]), cells([[1]])]), "gt_list: expected whole numbers"),
        (cells([cells([[1e300]]), cells([[1]])]), "gt_list: expected whole numbers"),
        (cells([cells([[3]]), cells([[1]])]), "an index beyond the faces of its image"),
    ],
)
def test_wrong_lists_of_kept_faces_name_their_file(tmp_path, lists, words):
    save_ground_truth(tmp_path)
    savemat(tmp_path / "wider_medium_val.mat", {"gt_list": lists})
    with pytest.raises(ValueError, match=words) as caught:
        load_ground_truth(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "wider_medium_val.mat"))


def test_attributes_of_other_kinds_name_their_file_and_variable(tmp_path):
    save_ground_truth(tmp_path)
    truth = load_ground_truth(tmp_path)
    for values, words in (
        (((0.5,), (0, 1)), "expected whole numbers"),
        (((1,), (0, 1, 2)), "has not one value for each face"),
    ):
        save_ground_truth(tmp_path)
        add_attributes(tmp_path, values, np.float64)
        with pytest.raises(ValueError, match=rf"wider_face_val\.mat.*blur_label_list.*{words}"):
            load_attributes(tmp_path, truth)
