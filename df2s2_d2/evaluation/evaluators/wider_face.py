"""The evaluator of WIDER FACE: Easy / Medium / Hard AP, COCO's AP, curves and a submission."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.events import get_event_storage, has_event_storage

from df2s2_d2.evaluation.coco_ap import coco_average_precision
from df2s2_d2.evaluation.evaluators.base import BenchmarkEvaluator
from df2s2_d2.evaluation.plots import as_rgb, draw_precision_recall, plot_precision_recall
from df2s2_d2.evaluation.protocol import describe_protocol
from df2s2_d2.evaluation.results import results_to_json
from df2s2_d2.evaluation.wider_face import (
    GroundTruth,
    WiderFaceResult,
    evaluate_wider_face,
    load_ground_truth,
    write_detections,
)

# Of the files of a submission, below the output folder.
_SUBMISSION = "wider_face_submission"


class WiderFaceEvaluator(BenchmarkEvaluator):
    """Easy / Medium / Hard AP of WIDER FACE, and COCO's AP of the faces of Hard.

    Data sets without the official ground truth lists are scored in the same three settings by
    the height of their faces. Inside a training loop, the precision-recall curves also go to
    TensorBoard.

    ``wider_face_submission/``, ``results.json`` with figures, counts and protocol, and
    ``precision_recall.png`` are written to ``output_dir``. For the arguments see
    :class:`BenchmarkEvaluator`.
    """

    def score(
        self, detections: dict[str, np.ndarray], image_sizes: dict[str, tuple[int, int]]
    ) -> OrderedDict:
        """Score detections.

        Returns:
            ``{"wider_face": {"AP_easy", "AP_medium", "AP_hard"}, "coco": {"AP", "AP50", "AP75",
            "APs", "APm", "APl"}}``, floats that are fractions of 1.
        """
        if self._output_dir:  # first of all: they stay, should something be wrong from here on
            Path(self._output_dir).mkdir(parents=True, exist_ok=True)
            write_detections(Path(self._output_dir) / _SUBMISSION, detections)
        ground_truth = self._load_ground_truth()
        if ground_truth is None:
            figures = OrderedDict()
            counts = {"images": len(detections), "detections": sum(map(len, detections.values()))}
        else:
            result = evaluate_wider_face(detections, ground_truth)
            coco = coco_average_precision(detections, ground_truth)
            figures, counts = OrderedDict(wider_face=result.ap, coco=coco), result.counts()
            self._log(figures, result)
            self._show_curves(result)
        if self._output_dir:
            names = {"dataset": self._dataset_name, "detections": _SUBMISSION}
            text = results_to_json(figures, counts, self._protocol, **names)
            path = Path(self._output_dir) / "results.json"
            path.write_text(text + "\n", encoding="utf-8")
        return figures

    def _load_ground_truth(self) -> GroundTruth | None:
        metadata = MetadataCatalog.get(self._dataset_name)
        if metadata.ground_truth_dir:
            return load_ground_truth(metadata.ground_truth_dir)
        records = DatasetCatalog.get(self._dataset_name)
        if not any("annotations" in record for record in records):
            logging.getLogger(__name__).warning(
                "%s has no annotations: detections were written, nothing was scored",
                self._dataset_name,
            )
            return None
        boxes, ignored = {}, {}
        for record in records:
            rows = np.array([face["bbox"] for face in record["annotations"]]).reshape(-1, 4)
            boxes[record["image_id"]] = np.hstack((rows[:, :2], rows[:, 2:] - rows[:, :2]))
            crowd = [bool(face["iscrowd"]) for face in record["annotations"]]
            ignored[record["image_id"]] = np.array(crowd, dtype=bool)
        return GroundTruth.from_heights(boxes, ignored=ignored)

    def _log(self, figures: OrderedDict, result: WiderFaceResult) -> None:
        parts = [f"{name} {value:.4f}" for name, value in figures["wider_face"].items()]
        parts += [f"COCO {name} {figures['coco'][name]:.4f}" for name in ("AP", "AP50", "AP75")]
        logging.getLogger(__name__).info(
            f"{self._dataset_name}: {'  '.join(parts)}  [{describe_protocol(self._protocol)}]  "
            f"{result.num_images} images, {result.num_detections} detections, "
            f"{result.num_missing_images} images without a result"
        )

    def _show_curves(self, result: WiderFaceResult) -> None:
        results = {self._dataset_name: result}
        title = describe_protocol(self._protocol)
        if self._output_dir:
            plot_precision_recall(results, Path(self._output_dir) / "precision_recall.png", title)
        if has_event_storage():
            picture = as_rgb(draw_precision_recall(results, title))
            get_event_storage().put_image(
                f"{self._dataset_name}/precision_recall", picture.transpose(2, 0, 1)
            )
