"""What the evaluators of all benchmarks share: collecting detections, from all workers."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict

import numpy as np
from detectron2.evaluation import DatasetEvaluator
from detectron2.structures import Instances
from detectron2.utils import comm

from df2s2_d2.evaluation.protocol import Protocol


class BenchmarkEvaluator(DatasetEvaluator):
    """Collects detections by the ``image_id`` of their image and scores them on the main worker.

    Args:
        dataset_name: a data set registered by this project.
        output_dir: where detections and figures are written; None writes nothing.
        protocol: how the detections came about, recorded and printed beside the figures; None if
            unknown.
        distributed: collect the detections of all workers; else only of this one. Boxes and scores
            are sent, 40 bytes a detection, never images.
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
        self._collected: dict[str, tuple[np.ndarray, tuple[int, int]]] = {}

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Take the detections of a batch."""
        for image, output in zip(inputs, outputs, strict=True):
            instances = output["instances"]
            self._collected[image["image_id"]] = to_rows(instances), instances.image_size

    def evaluate(self) -> OrderedDict | None:
        """Score the detections of all workers.

        Returns:
            Benchmark -> figure -> float, fractions of 1, on the main worker; on the others None.
        """
        parts = [self._collected]
        if self._distributed:
            parts = comm.gather(self._collected)
            if not comm.is_main_process():
                return None
        collected = {image: entry for part in parts for image, entry in part.items()}
        return self.score(
            {image: rows for image, (rows, _) in collected.items()},
            {image: size for image, (_, size) in collected.items()},
        )

    @abstractmethod
    def score(
        self, detections: dict[str, np.ndarray], image_sizes: dict[str, tuple[int, int]]
    ) -> OrderedDict:
        """Score detections, and write what is to be written.

        Args:
            detections: image -> (n, 5) float64 ``x, y, width, height, score`` in pixels.
            image_sizes: image -> height and width in pixels.

        Returns:
            As :meth:`evaluate`.
        """


def to_rows(instances: Instances) -> np.ndarray:
    """(n, 5) float64 ``x, y, width, height, score`` of an image's detections."""
    boxes = instances.pred_boxes.tensor.cpu().double().numpy()
    scores = instances.scores.cpu().double().numpy()
    return np.column_stack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2], scores))
