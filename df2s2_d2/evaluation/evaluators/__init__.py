"""Evaluators of the benchmarks as detectron2 knows them: they run inside its training loop."""

from df2s2_d2.evaluation.evaluators.build import build_evaluator
from df2s2_d2.evaluation.evaluators.fddb import FDDBEvaluator
from df2s2_d2.evaluation.evaluators.wider_face import WiderFaceEvaluator

__all__ = ["FDDBEvaluator", "WiderFaceEvaluator", "build_evaluator"]
