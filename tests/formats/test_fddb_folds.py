from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.formats.fddb_folds import load_folds
from tests.formats.fddb_files import save_folds

FOLDS = {
    "01": {
        "2002/08/11/big/img_591": np.array([[123.5833, 85.5495, 1.265839, 269.6934, 161.7812]]),
        "2002/08/26/big/img_265": np.array(
            [[67.4, 44.5, -1.47, 105.2, 87.2], [41.9, 27.1, 1.4, 9, 8]]
        ),
    },
    "10": {"2002/07/19/big/img_423": np.zeros((0, 5))},
}


def test_folds_are_read_as_they_stand(tmp_path):
    folds = load_folds(save_folds(tmp_path, FOLDS))
    assert list(folds) == ["01", "10"]
    for name, faces in FOLDS.items():
        assert list(folds[name]) == list(faces)
        for image, ellipses in faces.items():
            np.testing.assert_array_equal(folds[name][image], ellipses)
            assert folds[name][image].shape == ellipses.shape


def test_windows_line_ends_and_no_image_list(tmp_path):
    text = "a/1\r\n1\r\n9 8 0.1 1e1 11  1\r\n\r\n"
    (tmp_path / "FDDB-fold-03-ellipseList.txt").write_bytes(text.encode())
    folds = load_folds(tmp_path)
    assert folds["03"]["a/1"].tolist() == [[9, 8, 0.1, 10, 11]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("123.5833", "nan", r"01-ellipseList\.txt, line 3: expected finite numbers 'major_radius"),
        ("123.5833", "-123", r"01-ellipseList\.txt, line 1: expected radii above 0"),
        ("123.5833 ", "", r"01-ellipseList\.txt, line 3: expected finite numbers"),
        ("\n2\n", "\n3\n", r"line 5: 3 rows .* announced, but the file ends after 2"),
        ("08/26/big/img_265", "08/11/big/img_591", r"line 4: .*img_591 stands at .*line 1 already"),
        ("\n2002/08/26", "\n2002/08/27", r"fold-01\.txt lists 2002/08/26/big/img_265, which"),
    ],
)
def test_malformed_files_are_named(tmp_path, old, new, message):
    save_folds(tmp_path, FOLDS)
    path = tmp_path / "FDDB-fold-01-ellipseList.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        load_folds(tmp_path)


def test_an_image_in_two_folds_is_told(tmp_path):
    save_folds(tmp_path, {"01": FOLDS["01"], "02": FOLDS["01"]})
    with pytest.raises(ValueError, match=r"fold-02-.*, line 1: .*fold-01-.*, line 1 already"):
        load_folds(tmp_path)


def test_a_folder_without_folds_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no FDDB-fold-XX-ellipseList.txt"):
        load_folds(tmp_path / "absent")


@pytest.mark.real_data
def test_official_folds(shared_data):
    folds = load_folds(shared_data / "official/fddb/FDDB-folds")
    assert list(folds) == [f"{k:02d}" for k in range(1, 11)]
    assert sum(map(len, folds.values())) == 2845
    assert sum(len(faces) for fold in folds.values() for faces in fold.values()) == 5171
    np.testing.assert_array_equal(
        folds["01"]["2002/08/11/big/img_591"], [[123.5833, 85.5495, 1.265839, 269.6934, 161.7812]]
    )
