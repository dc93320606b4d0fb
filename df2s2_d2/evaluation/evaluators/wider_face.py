"""The evaluator of WIDER FACE: Easy / Medium / Hard AP and the files of a submission."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from df2s2_d2.evaluation.wider_face import (
    GroundTruth,
    WiderFaceResult,
    evaluate_wider_face,
    load_ground_truth,
    write_detections,
)


class WiderFaceEvaluator(DatasetEvaluator):
    """Easy / Medium / Hard AP of WIDER FACE; also writes the files of a submission.

    Data sets without the official ground truth lists are scored in the same three settings by
    the height of their faces.

    Args:
        dataset_name: a data set registered by this project.
        output_dir: the submission goes to ``wider_face_submission/`` in it; None writes nothing.
        protocol: how the detections came about, printed beside the figures.
        distributed: collect the detections of all workers; else only of this one.
    """

    def __init__(
        self,
        dataset_name: str,
        output_dir: str | None = None,
        protocol: str = "",
        distributed: bool = True,
    ):
        self._dataset_name = dataset_name
        self._output_dir = output_dir
        self._protocol = protocol
        self._distributed = distributed
        self._detections: dict[str, np.ndarray] = {}

    def reset(self) -> None:
        self._detections = {}

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Take the detections of a batch; images are told apart by ``image_id``."""
        for image, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            boxes = instances.pred_boxes.tensor.double().numpy()
            self._detections[image["image_id"]] = np.column_stack(
                (boxes[:, :2], boxes[:, 2:] - boxes[:, :2], instances.scores.double().numpy())
            )

    def evaluate(self) -> OrderedDict | None:
        """Score the detections of all workers.

        Returns:
            ``{"wider_face": {"AP_easy": float, ...}}``, fractions of 1, on the main worker; on the
            others None.
        """
        detections = self._detections
        if self._distributed:
            gathered = comm.gather(detections)
            if not comm.is_main_process():
                return None
            detections = {name: rows for part in gathered for name, rows in part.items()}
        if self._output_dir:
            write_detections(Path(self._output_dir) / "wider_face_submission", detections)
        ground_truth = self._load_ground_truth()
        if ground_truth is None:
            return OrderedDict()
        result = evaluate_wider_face(detections, ground_truth)
        logging.getLogger(__name__).info(self._describe(result))
        return OrderedDict(wider_face=result.ap)

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

    def _describe(self, result: WiderFaceResult) -> str:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in result.ap.items())
        return (
            f"{self._dataset_name}: {figures}  [{self._protocol}]  "
            f"{result.num_images} images, {result.num_detections} detections, "
            f"{result.num_missing_images} images without a result"
        )
