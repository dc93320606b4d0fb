"""What the evaluators of all benchmarks share: collecting detections, from all workers."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from detectron2.data import DatasetCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.structures import Instances
from detectron2.utils import comm
from detectron2.utils.events import has_event_storage

from df2s2_d2.evaluation.protocol import Protocol


class BenchmarkEvaluator(DatasetEvaluator):
    """Collects detections by the ``image_id`` of their image and scores them on the main worker.

    What is to be found is read first of all, so that nothing is sought in vain.

    Args:
        dataset_name: of a registered data set.
        output_dir: where detections and figures are written; None writes nothing.
        protocol: how the detections came about, recorded and printed beside the figures; None if
            unknown.
        distributed: collect the detections of all workers; else only of this one. Boxes and scores
            are sent, 40 bytes a detection, never images.

    Raises:
        OSError, ValueError: if what is to be found cannot be read.
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
        if dataset_name not in DatasetCatalog:
            raise ValueError(
                f"There is no data set {dataset_name!r} to evaluate on: register it, such as by "
                "df2s2_d2.data.register_wider_face, or look for its name in DatasetCatalog.list()"
            )
        if not distributed or comm.is_main_process():
            self.load_ground_truth()
        self.reset()

    def reset(self) -> None:
        self._collected: dict[str | int, tuple[np.ndarray, tuple[int, int]]] = {}
        self._write_error: OSError | None = None

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Take the detections of a batch.

        Args:
            inputs: one dict per image with its ``image_id``, as the mapper of any loader keeps it.
            outputs: one dict per image with ``instances``, of any detector: ``pred_boxes`` in
                pixels of the original image, ``scores`` and, optionally, ``pred_classes``.

        Raises:
            ValueError: if images have no ``image_id``, or classes are found that are no faces.
        """
        for image, output in zip(inputs, outputs, strict=True):
            if "image_id" not in image:
                raise ValueError(
                    f"{image.get('file_name', 'An image')} comes without its image_id, which "
                    "detections are scored by: let the mapper keep it of the dataset dict"
                )
            instances = output["instances"]
            if instances.has("pred_classes") and instances.pred_classes.any():
                raise ValueError(
                    f"In image {image['image_id']!r} of {self._dataset_name} classes other than 0, "
                    f"the face, are found, such as {int(instances.pred_classes.max())}: build the "
                    "model with one class (MODEL.RETINANET.NUM_CLASSES or "
                    "MODEL.ROI_HEADS.NUM_CLASSES 1), or give the evaluator its faces only"
                )
            self._collected[image["image_id"]] = to_rows(instances), instances.image_size

    def evaluate(self) -> OrderedDict | None:
        """Score the detections of all workers.

        Returns:
            Benchmark -> figure -> float, fractions of 1, on the main worker; on the others None.

        Raises:
            OSError: if files cannot be written; not in a training loop, which is to go on, and
                not before the figures are in the log.
        """
        parts = [self._collected]
        if self._distributed:
            parts = comm.gather(self._collected)
            if not comm.is_main_process():
                return None
        collected = {image: entry for part in parts for image, entry in part.items()}
        figures = self.score(
            {image: rows for image, (rows, _) in collected.items()},
            {image: size for image, (_, size) in collected.items()},
        )
        if self._write_error and not has_event_storage():
            raise self._write_error
        return figures

    @abstractmethod
    def load_ground_truth(self) -> None:
        """Read what is to be found; only where detections are scored.

        Raises:
            OSError, ValueError: what cannot be read or is not as it should be.
        """

    @abstractmethod
    def score(
        self,
        detections: dict[str | int, np.ndarray],
        image_sizes: dict[str | int, tuple[int, int]],
    ) -> OrderedDict:
        """Score detections, and write what is to be written, each piece in :meth:`writing`.

        Args:
            detections: image -> (n, 5) float64 ``x, y, width, height, score`` in pixels.
            image_sizes: image -> height and width in pixels.

        Returns:
            As :meth:`evaluate`.
        """

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Whether figures exist is not decided by whether files can be written: a full disk is
        said, and :meth:`evaluate` judges in the end.
        """
        try:
            yield
        except OSError as error:
            if self._write_error is None:
                logging.getLogger(__name__).error(
                    "Results of %s cannot be written to %s (%s): make room there",
                    self._dataset_name,
                    self._output_dir,
                    error,
                )
            self._write_error = error


def to_rows(instances: Instances) -> np.ndarray:
    """(n, 5) float64 ``x, y, width, height, score`` of an image's detections."""
    boxes = instances.pred_boxes.tensor.cpu().double().numpy()
    scores = instances.scores.cpu().double().numpy()
    return np.column_stack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2], scores))
