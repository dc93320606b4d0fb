"""Training: the trainer, what it checks before a run, and what it keeps of one."""

from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.input_checks import check_inputs, check_weights
from df2s2_d2.training.protocol import protocol_of
from df2s2_d2.training.trainer import Trainer

__all__ = ["BestCheckpointer", "Trainer", "check_inputs", "check_weights", "protocol_of"]
