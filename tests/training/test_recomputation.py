"""Activations that are computed again instead of kept."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from df2s2_d2.training.recomputation import recompute_activations
from tests.tiny_detectors import tiny_config
from tests.training.single_steps import DSFD, PAL, assert_same_weights, detector, images, weights


def kept_bytes(model) -> int:
    """What network and head keep for their backward, weights aside."""
    batch = model.preprocess_image(images()).tensor
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    storages = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = model.shot(model.backbone(batch))
        kept = sum(storages.values())
    assert outputs.logits[0].requires_grad
    return kept


@pytest.mark.parametrize("config_file", [PAL, DSFD])
def test_recomputed_activations_are_not_kept(config_file):
    cfg = tiny_config(config_file)
    plain, recomputing = detector(cfg), detector(cfg)
    recompute_activations(recomputing)
    assert kept_bytes(recomputing) < 0.6 * kept_bytes(plain)


@pytest.mark.parametrize("norm", ["BN", "naiveSyncBN"])
def test_recomputing_counts_a_batch_once_in_the_statistics_of_norms(norm):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "MODEL.SHOT.HEAD.NORM", norm)
    models = [detector(cfg), detector(cfg)]
    recompute_activations(models[1])
    before = weights(models[0])
    for model in models:
        sum(model(images()).values()).backward()
    assert_same_weights(models[1], weights(models[0]))
    changed = [name for name, x in models[0].state_dict().items() if not x.equal(before[name])]
    assert any("running_mean" in name for name in changed)
