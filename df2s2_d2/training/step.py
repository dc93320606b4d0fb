"""One step of training: gradients of a batch, and the weights behind them."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext

import torch
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm

from df2s2_d2.data.broken_images import BrokenImageCount
from df2s2_d2.training.distribution import check_all_used
from df2s2_d2.training.finite_check import FiniteCheck
from df2s2_d2.training.optimizer import step_unless
from df2s2_d2.training.precision import mixed_precision
from df2s2_d2.training.weight_average import WeightAverage


class TrainingStep(SimpleTrainer):
    """detectron2's step with mixed precision, accumulated gradients and averaged weights.

    The host waits for the device only where it reads losses or checks that they are finite.

    Args:
        model: returns a dict of losses while training; see
            :func:`~df2s2_d2.training.distribution.distribute`.
        data_loader: gives the batches of this process.
        optimizer: of the model's parameters.
        finite_check: ends the run when the loss or its gradients are not finite.
        check_periods: numbers of steps after which it is asked, such as those of checkpoints: a
            run that is at fault must neither be saved nor tested.
        metric_period: steps between two readings of the losses.
        precision: the type of the products, None for the weights' own. float16 has its losses
            scaled; steps whose gradients exceed its range are left out, as usual.
        num_parts: of a batch that are computed one after the other, with the memory of one. Every
            part's loss is normalised by the faces in it.
        average: of the weights, brought up to date at every step.

    Attributes:
        num_broken_images: how often an image was passed over for another one so far, in all
            processes and the runs that this one goes on from, as of the last check.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader,
        optimizer: torch.optim.Optimizer,
        *,
        finite_check: FiniteCheck,
        check_periods: tuple[int, ...] = (1,),
        metric_period: int = 1,
        precision: torch.dtype | None = None,
        num_parts: int = 1,
        average: WeightAverage | None = None,
    ):
        super().__init__(model, data_loader, optimizer, gather_metric_period=metric_period)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        device = self.parameters[0].device
        self.finite_check = finite_check
        self.check_periods = [period for period in check_periods if period > 0]
        self.precision = precision
        self.num_parts = num_parts
        self.average = average
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
        self._broken_images, self.num_broken_images = BrokenImageCount(), 0
        self._is_first = True
        self._one = torch.ones((), device=device)

    def run_step(self) -> None:
        started = time.perf_counter()
        batch = next(self._data_loader_iter)
        data_time = time.perf_counter() - started
        self._broken_images.note(batch)

        self.optimizer.zero_grad()
        losses = self._compute_gradients(batch)
        if self._is_first:
            check_all_used(self.model)
            self._is_first = False
        self.after_backward()
        self._update_weights(batch, losses)
        if self.average is not None:
            self.average.update()

        if any((self.iter + 1) % period == 0 for period in self.check_periods):
            self.finite_check.check()
            self._sum_broken_images()
        self._write_metrics(losses, data_time)

    def _sum_broken_images(self) -> None:
        self.num_broken_images = sum(comm.all_gather(self._broken_images.total))
        storage = get_event_storage()
        storage.put_scalar("broken_images", self.num_broken_images, smoothing_hint=False)

    def _compute_gradients(self, batch: list[dict]) -> dict[str, Tensor]:
        """Losses of the batch, with gradients of their sum left in the parameters."""
        total: Counter[str] = Counter()
        for index in range(self.num_parts):
            part = batch[index :: self.num_parts]
            with self._exchange_gradients(is_last=index == self.num_parts - 1):
                with self._mixed_precision():
                    losses = self.model(part)
                self.scaler.scale(sum(losses.values()) / self.num_parts).backward()
            total.update({name: x.detach() / self.num_parts for name, x in losses.items()})
        return dict(total)

    def _exchange_gradients(self, is_last: bool) -> AbstractContextManager:
        """Processes exchange gradients once a step, while the last part's are computed."""
        if is_last or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    def _mixed_precision(self) -> AbstractContextManager:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(self._one.device.type, dtype=self.precision)

    def _update_weights(self, batch: list[dict], losses: dict[str, Tensor]) -> None:
        """Step, unless a gradient is not finite: weights that are not finite would be lost."""
        self.scaler.unscale_(self.optimizer)
        norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        overflows = ~norm.isfinite()
        # A scale of more than 1 is at fault itself, and made smaller.
        is_bad = overflows & (self.scaler.scale(self._one) <= 1)
        is_bad = self.finite_check.note(self.iter, batch, sum(losses.values()), is_bad)
        step_unless(self.optimizer, is_bad | overflows)
        self.scaler.update()

    def state_dict(self) -> dict:
        state = super().state_dict()
        state["broken_images"] = self.num_broken_images
        if self.scaler.is_enabled():
            state["grad_scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state: dict) -> None:
        self.iter = state["iteration"]
        if comm.is_main_process():  # the others go on from 0
            self._broken_images.total = state.get("broken_images", 0)
        self.optimizer.load_state_dict(state["optimizer"])
        # A run may go on in another precision.
        if self.scaler.is_enabled() and state.get("grad_scaler"):
            self.scaler.load_state_dict(state["grad_scaler"])


# Steps between two reports of detectron2's writers.
WRITE_PERIOD = 20


def build_step(
    cfg: CfgNode,
    model: nn.Module,
    data_loader,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    write_period: int = WRITE_PERIOD,
) -> TrainingStep:
    """The step that the keys below SOLVER describe.

    Args:
        cfg: scaled to the number of processes.
        model: distributed.
        data_loader: of this process.
        optimizer: of the model.
        average: see :class:`TrainingStep`.
        write_period: steps between two reports of the writers.
    """
    check_parts(cfg, comm.get_world_size())
    device = torch.device(cfg.MODEL.DEVICE)
    # Reading anything makes a GPU wait, so it is done only when losses are written.
    period = 1 if device.type == "cpu" else write_period
    return TrainingStep(
        model,
        data_loader,
        optimizer,
        finite_check=FiniteCheck(device, period, cfg.OUTPUT_DIR),
        check_periods=(
            period,
            cfg.SOLVER.CHECKPOINT_PERIOD,
            cfg.TEST.EVAL_PERIOD,
            cfg.SOLVER.MAX_ITER,
        ),
        metric_period=period,
        precision=mixed_precision(cfg),
        num_parts=cfg.SOLVER.ACCUMULATE,
        average=average,
    )


def check_parts(cfg: CfgNode, processes: int) -> None:
    """Check that SOLVER.ACCUMULATE divides the batch of each of so many processes.

    Raises:
        ValueError: saying what it may be.
    """
    parts = cfg.SOLVER.ACCUMULATE
    images = cfg.SOLVER.IMS_PER_BATCH // processes
    if parts < 1 or images % parts:
        raise ValueError(
            f"SOLVER.ACCUMULATE must divide the {images} images that each of {processes} processes "
            f"has of SOLVER.IMS_PER_BATCH = {cfg.SOLVER.IMS_PER_BATCH}, found {parts}"
        )
    if parts > 1 and processes > 1 and cfg.SOLVER.DDP_STATIC_GRAPH:
        raise ValueError(
            "SOLVER.ACCUMULATE and SOLVER.DDP_STATIC_GRAPH exclude each other: a static graph "
            "exchanges gradients in every backward; set one of them"
        )
