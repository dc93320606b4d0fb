"""The evaluator of WIDER FACE: Easy / Medium / Hard AP, COCO's AP, curves and a submission."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from detectron2.utils.events import get_event_storage, has_event_storage

from df2s2_d2.evaluation.coco_ap import coco_average_precision
from df2s2_d2.evaluation.evaluators.base import BenchmarkEvaluator
from df2s2_d2.evaluation.figures import as_rgb
from df2s2_d2.evaluation.protocol import describe_protocol
from df2s2_d2.evaluation.results import results_to_json
from df2s2_d2.evaluation.wider_face import (
    GroundTruth,
    WiderFaceResult,
    evaluate_wider_face,
    load_ground_truth,
    write_detections,
)
from df2s2_d2.evaluation.wider_face.ground_truth import MINIMUM_HEIGHTS
from df2s2_d2.evaluation.wider_face.precision_recall_plot import (
    draw_precision_recall,
    plot_precision_recall,
)
from df2s2_d2.formats.coco_results import write_coco_results
from df2s2_d2.formats.wider_face_detections import is_submission_name

# Detections below the output folder: as the test server wants them, and where names forbid that.
_SUBMISSION, _RESULT_LIST = "wider_face_submission", "coco_results.json"


class WiderFaceEvaluator(BenchmarkEvaluator):
    """Easy / Medium / Hard AP of WIDER FACE, and COCO's AP of the faces of Hard.

    Data sets without the official ground truth lists are scored in the same three settings by
    the height of their faces; any data set in detectron2's standard format can be, if its only
    class is the face. Inside a training loop, the precision-recall curves also go to TensorBoard.

    ``wider_face_submission/``, ``results.json`` with figures, counts and protocol, and
    ``precision_recall.png`` are written to ``output_dir``. If images are not all named
    ``<event>/<image>``, as the submission wants them, their detections go to
    ``coco_results.json``. For the arguments see :class:`BenchmarkEvaluator`.
    """

    def load_ground_truth(self) -> None:
        name = self._dataset_name
        records = DatasetCatalog.get(name)
        metadata = MetadataCatalog.get(name)
        classes = metadata.get("thing_classes") or ["face"]
        if len(classes) > 1:
            raise ValueError(
                f"Data set {name!r} has the classes {', '.join(classes)}, but only faces can be "
                "scored: leave out what is no face, and register it with that class alone"
            )
        if metadata.get("ground_truth_dir"):
            self._ground_truth = load_ground_truth(metadata.ground_truth_dir)
            self._check_names({record["image_id"] for record in records})
        elif any("annotations" in record for record in records):
            self._ground_truth = _faces_by_height(records)
        else:
            self._ground_truth = None
        if self._ground_truth and not self._ground_truth.kept["hard"].any():
            logging.getLogger(__name__).warning(
                "%s has no face to be found, of at least %g pixels: its figures will be nan",
                name,
                MINIMUM_HEIGHTS["hard"],
            )

    def _check_names(self, images: set[str | int]) -> None:
        """Detections of images that the official lists do not have would count for nothing."""
        listed = set(self._ground_truth.images)
        place = MetadataCatalog.get(self._dataset_name).ground_truth_dir
        unknown = images - listed
        if unknown:
            example = min(map(str, unknown))
            raise ValueError(
                f"Data set {self._dataset_name!r}: {len(unknown)} of its {len(images)} images, "
                f"such as {example!r}, are not in the lists in {place}: give it the annotations "
                "that belong to these lists, or leave out ground_truth_dir to have faces scored "
                "by their height"
            )
        if listed - images:
            logging.getLogger(__name__).warning(
                "%s lacks %d of the %d images in the lists in %s: their faces count as missed",
                self._dataset_name,
                len(listed - images),
                len(listed),
                place,
            )

    def score(
        self,
        detections: dict[str | int, np.ndarray],
        image_sizes: dict[str | int, tuple[int, int]],
    ) -> OrderedDict:
        """Score detections.

        Returns:
            ``{"wider_face": {"AP_easy", "AP_medium", "AP_hard"}, "coco": {"AP", "AP50", "AP75",
            "APs", "APm", "APl"}}``, floats that are fractions of 1.
        """
        has_submission = all(is_submission_name(str(image)) for image in detections)
        if self._output_dir:  # first of all: they stay, should something be wrong from here on
            with self.writing():
                self._write_detections(Path(self._output_dir), detections, has_submission)
        if self._ground_truth is None:
            logging.getLogger(__name__).warning(
                "%s has no annotations: detections were written, nothing was scored",
                self._dataset_name,
            )
            figures = OrderedDict()
            counts = {"images": len(detections), "detections": sum(map(len, detections.values()))}
        else:
            result = evaluate_wider_face(detections, self._ground_truth)
            coco = coco_average_precision(detections, self._ground_truth)
            figures, counts = OrderedDict(wider_face=result.ap, coco=coco), result.counts()
            self._log(figures, result)
            self._show_curves(result)
        if self._output_dir:
            names = {
                "dataset": self._dataset_name,
                "detections": _SUBMISSION if has_submission else _RESULT_LIST,
            }
            text = results_to_json(figures, counts, self._protocol, **names)
            with self.writing():
                path = Path(self._output_dir) / "results.json"
                path.write_text(text + "\n", encoding="utf-8")
        return figures

    def _write_detections(
        self, directory: Path, detections: dict[str | int, np.ndarray], has_submission: bool
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        if has_submission:
            write_detections(directory / _SUBMISSION, detections)
            return
        write_coco_results(directory / _RESULT_LIST, detections)
        logging.getLogger(__name__).info(
            "Images of %s are not all named <event>/<image>, as a submission to WIDER FACE wants "
            "them: detections are in %s",
            self._dataset_name,
            directory / _RESULT_LIST,
        )

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
            with self.writing():
                path = Path(self._output_dir) / "precision_recall.png"
                plot_precision_recall(results, path, title)
        if has_event_storage():
            picture = as_rgb(draw_precision_recall(results, title))
            get_event_storage().put_image(
                f"{self._dataset_name}/precision_recall", picture.transpose(2, 0, 1)
            )


def _faces_by_height(records: list[dict[str, Any]]) -> GroundTruth:
    """What dataset dicts annotate; crowds and regions to be ignored are not to be found."""
    boxes, ignored = {}, {}
    for record in records:
        faces = record.get("annotations", [])
        rows = np.array([face["bbox"] for face in faces], np.float64).reshape(-1, 4)
        modes = np.array([face["bbox_mode"] for face in faces])
        for mode in np.unique(modes):
            selected = modes == mode
            rows[selected] = BoxMode.convert(rows[selected], BoxMode(mode), BoxMode.XYWH_ABS)
        boxes[record["image_id"]] = rows
        ignored[record["image_id"]] = np.array([bool(face.get("iscrowd")) for face in faces], bool)
    return GroundTruth.from_heights(boxes, ignored=ignored)
