"""What happens when a loss or its gradients are no longer finite."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm
from torch import Tensor

_NEVER = torch.iinfo(torch.int64).max


class FiniteCheck:
    """Remembers the first bad step on the device, so that a GPU need not wait at every step.

    From that step on the weights are to be left as they are; :meth:`check`, called in all processes
    alike, ends the run.

    Args:
        device: of the losses.
        period: most steps between two checks; that many batches are kept.
        output_dir: where the batch of a bad step is saved.
    """

    def __init__(self, device: torch.device, period: int, output_dir: str):
        self.output_dir = output_dir
        self._recent: deque[tuple[int, list[dict]]] = deque(maxlen=period)
        never = torch.full((), _NEVER, dtype=torch.int64, device=device)
        self._never, self._first, self._first_here = never, never, never

    def note(self, iteration: int, batch: list[dict], loss: Tensor, is_bad: Tensor) -> Tensor:
        """Note a step.

        Args:
            iteration: of the step.
            batch: of this process.
            loss: scalar, of this process.
            is_bad: bool, whether the gradients of the step are at fault.

        Returns:
            Bool on the device: whether this or an earlier step was bad.
        """
        self._recent.append((iteration, batch))
        bad_here = ~loss.isfinite()
        self._first_here = self._earlier(self._first_here, bad_here, iteration)
        self._first = self._earlier(self._first, bad_here | is_bad, iteration)
        return self._first != _NEVER

    def _earlier(self, first: Tensor, is_bad: Tensor, iteration: int) -> Tensor:
        return torch.minimum(first, self._never.masked_fill(is_bad, iteration))

    def check(self) -> None:
        """Wait for the device and end the run if a step was bad, in any process.

        Raises:
            FloatingPointError: with the iteration, its images, and where they are saved.
        """
        firsts = torch.stack((self._first, self._first_here))
        if comm.get_world_size() > 1:
            dist.all_reduce(firsts, op=dist.ReduceOp.MIN)
        first, first_loss = firsts.tolist()
        if first == _NEVER:
            return
        # Gradients are shared by all processes: the one whose own loss is bad has the images. If
        # no loss is, any of them may.
        concerned = first_loss != first or self._first_here.item() == first
        batch = next((batch for i, batch in self._recent if i == first), []) if concerned else []
        batches = comm.all_gather([_plain(inputs) for inputs in batch])
        images = [inputs for its_batch in batches for inputs in its_batch]
        path = Path(self.output_dir, f"bad_batch_{first:07}.pth")
        if comm.is_main_process():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(images, path)
        what = "loss is" if first_loss == first else "gradients are"
        names = ", ".join(str(inputs.get("file_name", "an image")) for inputs in images)
        raise FloatingPointError(
            f"In iteration {first} the {what} not finite, with the images {names}: the weights "
            f"are as they were before it, and what the detector was given is in {path}; look for "
            "wrong boxes, or lower SOLVER.BASE_LR"
        )


def _plain(inputs: dict[str, Any]) -> dict[str, Any]:
    """A mapped image as tensors and plain values, which torch.load reads without running code."""
    plain = {
        name: value
        for name, value in inputs.items()
        if isinstance(value, (str, int, float, Tensor, type(None)))
    }
    if "instances" in inputs:
        instances = inputs["instances"]
        plain["image_size"] = list(instances.image_size)
        plain["gt_boxes"] = instances.gt_boxes.tensor
        plain["gt_classes"] = instances.gt_classes
    return plain


def read_batch(path: str | Path) -> list[dict]:
    """A batch that :class:`FiniteCheck` saved, as a detector takes it in training."""
    batch = torch.load(path, weights_only=True)
    for inputs in batch:
        if "gt_boxes" in inputs:
            inputs["instances"] = Instances(
                tuple(inputs.pop("image_size")),
                gt_boxes=Boxes(inputs.pop("gt_boxes")),
                gt_classes=inputs.pop("gt_classes"),
            )
    return batch
