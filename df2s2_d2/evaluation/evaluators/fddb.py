"""The evaluator of FDDB: discrete and continuous rates, and the official files of detections."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from df2s2_d2.evaluation.fddb import FddbResult, evaluate_fddb, load_folds, write_detections
from df2s2_d2.evaluation.protocol import Protocol, describe_protocol
from df2s2_d2.evaluation.results import results_to_json

_DETECTIONS_FOLDER = "fddb_detections"


class FDDBEvaluator(DatasetEvaluator):
    """True positive rates of FDDB at 100, 500, 1,000 and 2,000 false positives.

    Detections are scored as boxes.

    Args:
        dataset_name: a data set that was registered with folds of ellipses.
        output_dir: ``fddb_detections/fold-XX-out.txt`` and ``results.json`` go here; None writes
            nothing.
        protocol: how the detections came about, recorded and printed beside the figures.
        distributed: collect the detections of all workers; else only of this one.
    """

    def __init__(
        self,
        dataset_name: str,
        output_dir: str | None = None,
        protocol: Protocol | None = None,
        distributed: bool = True,
    ):
        self._dataset_name = dataset_name
        self._output_dir = output_dir
        self._protocol = protocol
        self._distributed = distributed
        self.reset()

    def reset(self) -> None:
        self._detections: dict[str, np.ndarray] = {}
        self._image_sizes: dict[str, tuple[int, int]] = {}

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Take the detections of a batch and the sizes of its images, by their ``image_id``."""
        for image, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            boxes = instances.pred_boxes.tensor.double().numpy()
            self._detections[image["image_id"]] = np.column_stack(
                (boxes[:, :2], boxes[:, 2:] - boxes[:, :2], instances.scores.double().numpy())
            )
            height, width = instances.image_size
            self._image_sizes[image["image_id"]] = (width, height)

    def evaluate(self) -> OrderedDict | None:
        """Score the detections of all workers.

        Returns:
            ``{"fddb": {"disc_100": float, ..., "cont_2000": float}}``, fractions of 1, on the main
            worker; on the others None.
        """
        detections, image_sizes = self._detections, self._image_sizes
        if self._distributed:
            gathered = comm.gather((detections, image_sizes))
            if not comm.is_main_process():
                return None
            detections, image_sizes = (
                {image: value for part in parts for image, value in part.items()}
                for parts in zip(*gathered, strict=True)
            )
        folds = load_folds(MetadataCatalog.get(self._dataset_name).folds_dir)
        result = evaluate_fddb(detections, folds, image_sizes)
        if self._output_dir:
            directory = Path(self._output_dir)
            write_detections(directory / _DETECTIONS_FOLDER, detections, folds)
            content = results_to_json(
                {"fddb": result.rates()},
                result.counts(),
                self._protocol,
                dataset=self._dataset_name,
                detections=_DETECTIONS_FOLDER,
            )
            (directory / "results.json").write_text(content + "\n", encoding="utf-8")
        figures = {
            f"{curve}_{count}": rate
            for curve, rates in result.rates().items()
            for count, rate in rates.items()
        }
        logging.getLogger(__name__).info(self._describe(result, figures))
        return OrderedDict(fddb=figures)

    def _describe(self, result: FddbResult, figures: dict[str, float]) -> str:
        rates = "  ".join(f"{name} {rate:.4f}" for name, rate in figures.items())
        return (
            f"{self._dataset_name}: {rates}  [{describe_protocol(self._protocol)}]  "
            f"{result.num_images} images, {result.num_detections} detections, "
            f"{result.num_missing_images} images without a result"
        )
