"""Registers WIDER FACE and FDDB under ``$DETECTRON2_DATASETS``, and data sets of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2.data.datasets.coco_boxes import load_coco_boxes
from df2s2_d2.data.datasets.fddb import load_fddb
from df2s2_d2.data.datasets.wider_face import load_wider_face

# Name: (folder of images, annotation file, folder of the official lists), under wider_face/.
_WIDER_FACE_SPLITS = {
    "wider_face_train": (
        "WIDER_train/images",
        "wider_face_split/wider_face_train_bbx_gt.txt",
        None,
    ),
    "wider_face_val": (
        "WIDER_val/images",
        "wider_face_split/wider_face_val_bbx_gt.txt",
        "eval_tools/ground_truth",
    ),
    "wider_face_test": (
        "WIDER_test/images",
        "wider_face_split/wider_face_test_filelist.txt",
        None,
    ),
}


def register_wider_face(
    name: str,
    image_dir: str | os.PathLike[str],
    annotation_file: str | os.PathLike[str],
    ground_truth_dir: str | os.PathLike[str] | None = None,
    outside_images: bool = False,
) -> None:
    """Register a data set of faces in detectron2's catalogs; its files are read when it is used.

    Args:
        name: what configs call it, e.g. in ``DATASETS.TRAIN``.
        image_dir: folder that the annotation file's image paths are relative to.
        annotation_file: COCO JSON if its name ends in ``.json``, else WIDER FACE's text, or a text
            with image paths alone (to be detected in, not trained on).
        ground_truth_dir: folder of ``wider_{face,easy,medium,hard}_val.mat``, if there is one.
        outside_images: whether the annotation file may name images outside ``image_dir``, by ``..``
            or absolute paths. Leave it unless you know who wrote the file: they are read.

    Raises:
        ValueError: if the name is taken.
    """
    _check_free(name)
    remedy = "Check what was given to register_wider_face."
    _register_wider_face(name, image_dir, annotation_file, ground_truth_dir, remedy, outside_images)


def register_fddb(
    name: str, image_dir: str | os.PathLike[str], folds_dir: str | os.PathLike[str]
) -> None:
    """Register a data set in FDDB's layout in detectron2's catalogs; it is read when it is used.

    Args:
        name: what configs call it, e.g. in ``DATASETS.TEST``.
        image_dir: folder that image names in the folds are relative to.
        folds_dir: folder of ``FDDB-fold-XX-ellipseList.txt``.

    Raises:
        ValueError: if the name is taken.
    """
    _check_free(name)
    _register_fddb(name, image_dir, folds_dir, "Check what was given to register_fddb.")


def register_all_wider_face(root: str | os.PathLike[str]) -> None:
    """Register ``wider_face_{train,val,test}``; names that are registered already stay as they are.

    Args:
        root: folder that holds ``wider_face/``, as ``$DETECTRON2_DATASETS`` does.
    """
    base = os.path.join(root, "wider_face")
    for name, (image_dir, annotation_file, ground_truth_dir) in _WIDER_FACE_SPLITS.items():
        if name in DatasetCatalog:
            continue
        _register_wider_face(
            name,
            os.path.join(base, image_dir),
            os.path.join(base, annotation_file),
            ground_truth_dir and os.path.join(base, ground_truth_dir),
            remedy=(
                "Set the environment variable DETECTRON2_DATASETS (here: "
                f"{os.fspath(root)!r}) to a folder with wider_face/{image_dir}/<event>/<image>.jpg "
                f"and wider_face/{annotation_file}."
            ),
        )


def register_all_fddb(root: str | os.PathLike[str]) -> None:
    """Register ``fddb``; if the name is registered already, it stays as it is.

    Args:
        root: folder that holds ``fddb/``, as ``$DETECTRON2_DATASETS`` does.
    """
    if "fddb" in DatasetCatalog:
        return
    base = os.path.join(root, "fddb")
    _register_fddb(
        "fddb",
        os.path.join(base, "originalPics"),
        os.path.join(base, "FDDB-folds"),
        remedy=(
            f"Set the environment variable DETECTRON2_DATASETS (here: {os.fspath(root)!r}) to a "
            "folder with fddb/originalPics/<year>/<month>/<day>/big/<image>.jpg and "
            "fddb/FDDB-folds/FDDB-fold-XX-ellipseList.txt."
        ),
    )


def _check_free(name: str) -> None:
    if name in DatasetCatalog:
        raise ValueError(
            f"A data set {name!r} is registered already: choose another name, or free this one "
            f"with DatasetCatalog.remove({name!r}) and MetadataCatalog.remove({name!r})."
        )


def _register_wider_face(
    name: str,
    image_dir: str | os.PathLike[str],
    annotation_file: str | os.PathLike[str],
    ground_truth_dir: str | os.PathLike[str] | None,
    remedy: str,
    outside_images: bool = False,
) -> None:
    image_dir, annotation_file = os.fspath(image_dir), os.fspath(annotation_file)
    load = partial(_load_wider_face, name, image_dir, annotation_file, remedy, outside_images)
    DatasetCatalog.register(name, load)
    MetadataCatalog.get(name).set(
        thing_classes=["face"],
        evaluator_type="wider_face",
        image_dir=image_dir,
        annotation_file=annotation_file,
        ground_truth_dir=ground_truth_dir and os.fspath(ground_truth_dir),
    )


def _register_fddb(
    name: str,
    image_dir: str | os.PathLike[str],
    folds_dir: str | os.PathLike[str],
    remedy: str,
) -> None:
    image_dir, folds_dir = os.fspath(image_dir), os.fspath(folds_dir)
    DatasetCatalog.register(name, partial(_load_fddb, name, image_dir, folds_dir, remedy))
    MetadataCatalog.get(name).set(
        thing_classes=["face"],
        evaluator_type="fddb",
        image_dir=image_dir,
        folds_dir=folds_dir,
    )


def _load_wider_face(
    name: str, image_dir: str, annotation_file: str, remedy: str, outside_images: bool
) -> list[dict[str, Any]]:
    _check_exists(name, "image folder", image_dir, os.path.isdir, remedy)
    _check_exists(name, "annotation file", annotation_file, os.path.isfile, remedy)
    is_json = annotation_file.lower().endswith(".json")
    load = load_coco_boxes if is_json else load_wider_face
    return load(image_dir, annotation_file, outside_images)


def _load_fddb(name: str, image_dir: str, folds_dir: str, remedy: str) -> list[dict[str, Any]]:
    _check_exists(name, "image folder", image_dir, os.path.isdir, remedy)
    _check_exists(name, "folder of folds", folds_dir, os.path.isdir, remedy)
    return load_fddb(image_dir, folds_dir)


def _check_exists(
    name: str, kind: str, path: str, exists: Callable[[str], bool], remedy: str
) -> None:
    if not exists(path):
        raise FileNotFoundError(f"Data set {name!r}: the {kind} {path} does not exist. {remedy}")


_root = os.path.expanduser(os.getenv("DETECTRON2_DATASETS", "datasets"))
register_all_wider_face(_root)
register_all_fddb(_root)
