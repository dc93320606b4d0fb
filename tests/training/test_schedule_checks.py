from __future__ import annotations

import pytest

from df2s2_d2.training.schedule_checks import check_schedule
from tests.small_runs import smallest_config


@pytest.mark.parametrize(
    ("batch_size", "reference", "num_processes"),
    [(2, 0, 1), (2, 0, 2), (8, 4, 1), (8, 4, 3), (8, 4, 16), (8, 8, 5)],
)
def test_batches_that_processes_share_equally_pass(batch_size, reference, num_processes):
    cfg = smallest_config(
        SOLVER__IMS_PER_BATCH=batch_size,
        SOLVER__REFERENCE_WORLD_SIZE=reference,
        SOLVER__MAX_ITER=100,
    )
    check_schedule(cfg, num_processes)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER) == (batch_size, 100)


@pytest.mark.parametrize(
    ("overrides", "num_processes", "words"),
    [
        (
            {"IMS_PER_BATCH": 2, "REFERENCE_WORLD_SIZE": 4},
            1,
            "SOLVER.IMS_PER_BATCH is 2, .*means it for, 4, .*REFERENCE_WORLD_SIZE 0",
        ),
        ({"IMS_PER_BATCH": 2}, 3, "IMS_PER_BATCH is 2, .*, 3, does not divide: .* multiple of 3$"),
        ({"IMS_PER_BATCH": 0}, 1, "IMS_PER_BATCH is 0"),
        ({"REFERENCE_WORLD_SIZE": -1}, 1, "REFERENCE_WORLD_SIZE is -1"),
        ({"MAX_ITER": 0}, 1, "SOLVER.MAX_ITER is 0: give 1 iterations or more"),
        (
            {"MAX_ITER": 99, "REFERENCE_WORLD_SIZE": 1, "CHECKPOINT_PERIOD": 2},
            8,
            "CHECKPOINT_PERIOD is 0, scaled to 8 processes",
        ),
        ({"CHECKPOINT_PERIOD": 0}, 1, "SOLVER.CHECKPOINT_PERIOD is 0"),
        ({"WARMUP_ITERS": -1}, 1, "SOLVER.WARMUP_ITERS is -1"),
        ({"OPTIMIZER": "Adam"}, 1, "SOLVER.OPTIMIZER is 'Adam' .is it AdamW.*: .* AdamW, SGD"),
        ({"BASE_LR": -0.1}, 1, "keys below SOLVER .*learning rate"),
        ({"STEPS": (3, 2)}, 1, "keys below SOLVER"),
        ({"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 9.0}, 1, "keys below SOLVER"),
    ],
)
def test_schedules_that_cannot_be_are_one_sentence(overrides, num_processes, words):
    cfg = smallest_config(**{f"SOLVER__{key}": value for key, value in overrides.items()})
    with pytest.raises(ValueError, match=words) as caught:
        check_schedule(cfg, num_processes)
    assert "\n" not in str(caught.value)
