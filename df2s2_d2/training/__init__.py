"""Training: the trainer, what it checks before a run, and what it keeps of one."""

from df2s2_d2.config_protocol import protocol_of
from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.endings import one_sentence_endings
from df2s2_d2.training.evaluation import evaluate
from df2s2_d2.training.input_checks import check_inputs
from df2s2_d2.training.trainer import Trainer

__all__ = [
    "BestCheckpointer",
    "Trainer",
    "check_inputs",
    "evaluate",
    "one_sentence_endings",
    "protocol_of",
]
