"""The evaluator of FDDB: discrete and continuous rates, and the official files of detections."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np
from detectron2.data import MetadataCatalog

from df2s2_d2.evaluation.evaluators.base import BenchmarkEvaluator
from df2s2_d2.evaluation.fddb import FddbResult, evaluate_fddb, load_folds, write_detections
from df2s2_d2.evaluation.protocol import describe_protocol
from df2s2_d2.evaluation.results import results_to_json

_DETECTIONS_FOLDER = "fddb_detections"


class FDDBEvaluator(BenchmarkEvaluator):
    """True positive rates of FDDB at 100, 500, 1,000 and 2,000 false positives.

    Detections are scored as boxes.

    ``fddb_detections/fold-XX-out.txt`` and ``results.json`` are written to ``output_dir``. For the
    arguments see :class:`BenchmarkEvaluator`.
    """

    def load_ground_truth(self) -> None:
        folds_dir = MetadataCatalog.get(self._dataset_name).get("folds_dir")
        if folds_dir is None:
            raise ValueError(
                f"Data set {self._dataset_name!r} has no folds of FDDB (folds_dir in its "
                "metadata): register it by df2s2_d2.data.register_fddb"
            )
        self._folds = load_folds(folds_dir)

    def score(
        self,
        detections: dict[str | int, np.ndarray],
        image_sizes: dict[str | int, tuple[int, int]],
    ) -> OrderedDict:
        """Score detections.

        Returns:
            ``{"fddb": {"disc_100": float, ..., "cont_2000": float}}``, fractions of 1.
        """
        widths_first = {image: (width, height) for image, (height, width) in image_sizes.items()}
        result = evaluate_fddb(detections, self._folds, widths_first)
        if self._output_dir:
            with self.writing():
                self._write(Path(self._output_dir), detections, result)
        figures = {
            f"{curve}_{count}": rate
            for curve, rates in result.rates().items()
            for count, rate in rates.items()
        }
        logging.getLogger(__name__).info(self._describe(result, figures))
        return OrderedDict(fddb=figures)

    def _write(
        self, directory: Path, detections: dict[str | int, np.ndarray], result: FddbResult
    ) -> None:
        write_detections(directory / _DETECTIONS_FOLDER, detections, self._folds)
        content = results_to_json(
            {"fddb": result.rates()},
            result.counts(),
            self._protocol,
            dataset=self._dataset_name,
            detections=_DETECTIONS_FOLDER,
        )
        (directory / "results.json").write_text(content + "\n", encoding="utf-8")

    def _describe(self, result: FddbResult, figures: dict[str, float]) -> str:
        rates = "  ".join(f"{name} {rate:.4f}" for name, rate in figures.items())
        return (
            f"{self._dataset_name}: {rates}  [{describe_protocol(self._protocol)}]  "
            f"{result.num_images} images, {result.num_detections} detections, "
            f"{result.num_missing_images} images without a result"
        )
