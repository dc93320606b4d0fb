"""Which evaluator a data set is scored by."""

from __future__ import annotations

from detectron2.data import MetadataCatalog

from df2s2_d2.evaluation.evaluators.base import BenchmarkEvaluator
from df2s2_d2.evaluation.evaluators.fddb import FDDBEvaluator
from df2s2_d2.evaluation.evaluators.wider_face import WiderFaceEvaluator
from df2s2_d2.evaluation.protocol import Protocol

# By the evaluator_type in the metadata of a data set; "coco" is that of register_coco_instances.
_EVALUATORS = {"coco": WiderFaceEvaluator, "fddb": FDDBEvaluator, "wider_face": WiderFaceEvaluator}


def build_evaluator(
    dataset_name: str, output_dir: str | None = None, protocol: Protocol | None = None
) -> BenchmarkEvaluator:
    """Build the evaluator that the metadata of a data set asks for; it reads what is to be found.

    Args:
        dataset_name, output_dir, protocol: see :class:`BenchmarkEvaluator`.

    Raises:
        OSError, ValueError: if there is none, or what is to be found cannot be read.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type")
    if kind not in _EVALUATORS:
        raise ValueError(
            f"No evaluator for data set {dataset_name!r}: its metadata says evaluator_type "
            f"{kind!r}; register it with register_wider_face or register_fddb"
        )
    return _EVALUATORS[kind](dataset_name, output_dir, protocol)
