"""Readers of face data sets and their registration in detectron2's catalogs."""

from df2s2_d2.data.datasets.builtin import (
    register_all_fddb,
    register_all_wider_face,
    register_fddb,
    register_wider_face,
)
from df2s2_d2.data.datasets.coco_boxes import load_coco_boxes
from df2s2_d2.data.datasets.fddb import circumscribed_boxes, load_fddb
from df2s2_d2.data.datasets.wider_face import (
    AnnotatedImage,
    load_wider_face,
    read_annotations,
    read_file_list,
)

__all__ = [
    "AnnotatedImage",
    "circumscribed_boxes",
    "load_coco_boxes",
    "load_fddb",
    "load_wider_face",
    "read_annotations",
    "read_file_list",
    "register_all_fddb",
    "register_all_wider_face",
    "register_fddb",
    "register_wider_face",
]
