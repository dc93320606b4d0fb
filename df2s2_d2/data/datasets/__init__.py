"""Face data sets as dataset dicts, and their registration in detectron2's catalogs."""

from df2s2_d2.data.datasets.builtin import (
    register_all_fddb,
    register_all_wider_face,
    register_fddb,
    register_wider_face,
)
from df2s2_d2.data.datasets.coco_boxes import load_coco_boxes
from df2s2_d2.data.datasets.fddb import circumscribed_boxes, load_fddb
from df2s2_d2.data.datasets.wider_face import load_wider_face

__all__ = [
    "circumscribed_boxes",
    "load_coco_boxes",
    "load_fddb",
    "load_wider_face",
    "register_all_fddb",
    "register_all_wider_face",
    "register_fddb",
    "register_wider_face",
]
