"""One step of training: what every switch leaves as it is, and what happens at a fault."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.solver.build import (
    build_optimizer,
    get_default_optimizer_params,
    maybe_add_gradient_clipping,
)
from detectron2.utils.events import EventStorage
from torch.autograd.graph import saved_tensors_hooks

from df2s2_d2.training.acceleration import accelerate, check_switches, use_channels_last
from df2s2_d2.training.finite_check import FiniteCheck, read_batch
from df2s2_d2.training.optimizer import build_adamw, build_sgd, step_unless
from df2s2_d2.training.recomputation import recompute_activations
from df2s2_d2.training.resume import adapt_optimizer_state, name_parameters
from df2s2_d2.training.step import TrainingStep, build_step
from df2s2_d2.training.weight_average import WeightAverage
from tests.modeling import scenes
from tests.tiny_detectors import calibrate, tiny_config

PAL = "DF2S2/DF2S2_R50_PAL.yaml"
DSFD = "DSFD/DSFD_R50.yaml"
VGG = "DSFD/DSFD_VGG16.yaml"
FACES = [[20, 30, 60, 80], [70, 10, 76, 18]]


def images(count: int = 2, first: int = 0) -> list[dict]:
    """With the same faces in each, so that parts of a batch are normalised alike."""
    return [
        scenes.mapped_image((128, 128), FACES, seed=seed) | {"file_name": f"{seed}.jpg"}
        for seed in range(first, first + count)
    ]


def detector(cfg, seed: int = 0):
    torch.manual_seed(seed)
    model = build_model(cfg)
    calibrate(model, [inputs["image"] for inputs in images(2)])
    return model.train()


def make_step(model, cfg, batches=(), average=None) -> TrainingStep:
    return build_step(cfg, model, list(batches), build_sgd(cfg, model), average)


def take_steps(step: TrainingStep, *iterations: int) -> None:
    """All that there are batches for, or those that are named."""
    with EventStorage(0):
        for iteration in iterations or range(len(step.data_loader)):
            step.iter = iteration
            step.run_step()


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_weights(model, expected: dict[str, torch.Tensor]) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def plain_gradients(cfg, batch) -> tuple[dict, dict]:
    """Of a model that nothing was done to, computed by itself."""
    model = detector(cfg)
    losses = model(batch)
    sum(losses.values()).backward()
    return losses, gradients(model)


def assert_close_gradients(found: dict, expected: dict, tolerance: float = 1e-3) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(gradient.abs().max().item(), 1e-6)
        torch.testing.assert_close(
            found[name], gradient, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


# What switches leave as it is

SWITCHES = {
    "nothing": (PAL, []),
    "channels last": (PAL, ["SOLVER.CHANNELS_LAST", True]),
    "recomputed": (PAL, ["SOLVER.ACTIVATION_CHECKPOINTING", True]),
    "recomputed DSFD": (DSFD, ["SOLVER.ACTIVATION_CHECKPOINTING", True]),
    "recomputed VGG16": (VGG, ["SOLVER.ACTIVATION_CHECKPOINTING", True, "MODEL.VGG.WIDTH", 4]),
    "accumulated": (PAL, ["SOLVER.ACCUMULATE", 2, "SOLVER.IMS_PER_BATCH", 2]),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_change_neither_losses_nor_gradients(name):
    config_file, overrides = SWITCHES[name]
    cfg = tiny_config(config_file, *overrides)
    batch = images()
    expected_losses, expected = plain_gradients(cfg, batch)
    model = detector(cfg)
    before = weights(model)
    if cfg.SOLVER.CHANNELS_LAST:
        use_channels_last(model)
    accelerate(model, cfg)
    assert_same_weights(model, before)
    losses = make_step(model, cfg)._compute_gradients(batch)
    for term, loss in expected_losses.items():
        assert losses[term].item() == pytest.approx(loss.item(), rel=1e-4), term
    assert_close_gradients(gradients(model), expected)


def test_channels_last_reaches_every_map():
    model = detector(tiny_config())
    use_channels_last(model)
    maps = model.backbone(model.preprocess_image(images()).tensor)
    for name in ("c2", "c5", "p2", "p5", "p7"):
        assert maps[name].is_contiguous(memory_format=torch.channels_last), name


def test_compiled_training_is_the_same_and_tests_are_not_compiled():
    cfg = tiny_config("DF2S2/small/Base-R18.yaml", "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)
    cfg.SOLVER.AMP.ENABLED = False
    cfg.SOLVER.COMPILE = "eager"  # the backend that takes least time to compile
    expected_losses, expected = plain_gradients(cfg, images())
    model = detector(cfg)
    accelerate(model, cfg)
    counters = torch._dynamo.utils.counters
    counters.clear()
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        assert len(model.eval()(images(1))[0]["instances"])
    assert not counters["stats"]
    losses = make_step(model.train(), cfg)._compute_gradients(images())
    assert counters["stats"]["unique_graphs"] >= 2
    for term, loss in expected_losses.items():
        assert losses[term].item() == pytest.approx(loss.item(), rel=1e-4), term
    assert_close_gradients(gradients(model), expected)


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


def test_frozen_norms_are_followed_wherever_their_statistics_go():
    """Weights that are loaded later bring statistics of their own."""
    cfg = tiny_config()
    model, plain = detector(cfg), detector(cfg)
    accelerate(model, cfg)
    other = detector(cfg, seed=1).state_dict()
    model.load_state_dict(other)
    plain.load_state_dict(other)
    for one in (model, plain):
        sum(one(images()).values()).backward()
    assert_close_gradients(gradients(model), gradients(plain))


@pytest.mark.parametrize(
    "config_file, key",
    [
        (PAL, "MODEL.SHOT.HEAD.NORM"),
        (PAL, "MODEL.FFP.NORM"),
        (PAL, "MODEL.RESNETS.NORM"),
        (DSFD, "MODEL.BOTTOM_UP.CONV_LEVELS_NORM"),
        (VGG, "MODEL.VGG.NORM"),
    ],
)
def test_synchronised_norms_are_plain_ones_in_a_run_of_one_process(config_file, key):
    plain = detector(tiny_config(config_file, key, "BN", "MODEL.VGG.WIDTH", 4))
    synchronised = build_model(tiny_config(config_file, key, "SyncBN", "MODEL.VGG.WIDTH", 4))
    synchronised.load_state_dict(plain.state_dict())
    assert any(isinstance(m, torch.nn.SyncBatchNorm) for m in synchronised.modules())
    losses = [
        {name: loss.item() for name, loss in model(images()).items()}
        for model in (plain, synchronised)
    ]
    assert losses[0] == pytest.approx(losses[1])


# Mixed precision


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_is_near_full_precision(precision):
    overrides = ["SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", precision]
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", *overrides)
    expected_losses, expected = plain_gradients(cfg, images())
    model = detector(cfg)
    accelerate(model, cfg)
    types = set()
    model.shot.head.face_logits.register_forward_hook(lambda *args: types.add(args[2].dtype))
    step = make_step(model, cfg)
    losses = step._compute_gradients(images())
    assert types == {getattr(torch, precision)}
    for term, loss in expected_losses.items():
        assert losses[term].item() == pytest.approx(loss.item(), rel=0.05), term
    assert step.scaler.is_enabled() == (precision == "float16")
    step.scaler.unscale_(step.optimizer)
    name = "head.head.face_logits.weight"
    difference = gradients(model)[name] - expected[name]
    assert difference.norm() < 0.05 * expected[name].norm()


def test_steps_beyond_the_range_of_float16_are_left_out():
    overrides = ["SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "float16"]
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", *overrides, "SOLVER.WARMUP_ITERS", 0)
    model = detector(cfg)
    step = make_step(model, cfg, [images(), images()])
    step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = weights(model)
    take_steps(step, 0)
    assert_same_weights(model, before)
    assert step.scaler.get_scale() == 2.0**39
    momenta = [state["momentum_buffer"] for state in step.optimizer.state.values()]
    assert momenta and not any(momentum.any() for momentum in momenta)
    step.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    take_steps(step, 1)
    assert not torch.equal(model.shot.head.face_logits.bias, before["head.head.face_logits.bias"])
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_run_may_go_on_in_another_precision():
    half = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.AMP.ENABLED", True)
    half.SOLVER.AMP.PRECISION = "float16"
    steps = [make_step(detector(cfg), cfg) for cfg in (half, tiny_config())]
    for step in steps:
        step.iter = 7
    steps[0].scaler.scale(torch.ones(()))
    steps[0].scaler.update(2.0**5)
    assert "grad_scaler" not in steps[1].state_dict()
    steps[1].load_state_dict(steps[0].state_dict())
    steps[0].load_state_dict(steps[1].state_dict())
    assert steps[0].scaler.get_scale() == 2.0**5
    again = make_step(detector(half), half)
    again.load_state_dict(steps[0].state_dict())
    assert again.scaler.get_scale() == 2.0**5 and again.iter == 7


# Faults


def broken(inputs: dict) -> dict:
    image = inputs["image"].float()
    image[0, 0, 0] = math.nan
    return inputs | {"image": image}


def test_a_loss_that_is_not_finite_ends_the_run_with_its_images(tmp_path):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "OUTPUT_DIR", str(tmp_path))
    model = detector(cfg)
    good, bad = images(2), [images(1, first=2)[0], broken(images(1, first=3)[0])]
    step = make_step(model, cfg, [good, bad, good])
    with pytest.raises(FloatingPointError, match="iteration 1 the loss is .* 2.jpg, 3.jpg") as info:
        take_steps(step)
    assert str(tmp_path / "bad_batch_0000001.pth") in str(info.value)
    assert "\n" not in str(info.value)

    # The batch is all there: with the weights as they are it does it again.
    batch = read_batch(tmp_path / "bad_batch_0000001.pth")
    assert [inputs["file_name"] for inputs in batch] == ["2.jpg", "3.jpg"]
    assert torch.equal(batch[0]["instances"].gt_boxes.tensor, bad[0]["instances"].gt_boxes.tensor)
    assert not sum(model(batch).values()).isfinite()
    assert sum(model(batch[:1]).values()).isfinite()


def test_what_is_looked_at_late_does_no_harm_meanwhile(tmp_path):
    """As on a GPU, whose losses are read every now and then."""
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.WARMUP_ITERS", 0)
    batches = [images(1, first=index) for index in range(4)]
    batches[1] = [broken(batches[1][0])]
    model = detector(cfg)
    step = TrainingStep(
        model,
        batches,
        build_sgd(cfg, model),
        finite_check=FiniteCheck(torch.device("cpu"), 4, str(tmp_path)),
        check_periods=(4, 0),
        metric_period=4,
    )
    states = []
    model.register_forward_pre_hook(lambda *args: states.append(weights(model)))
    with pytest.raises(FloatingPointError, match="In iteration 1 .* images 1.jpg:"):
        take_steps(step)
    assert len(states) == 4 and not states[1]["head.head.face_logits.bias"].equal(
        states[0]["head.head.face_logits.bias"]
    )
    assert_same_weights(model, states[1])


def test_gradients_that_are_not_finite_end_the_run_too(tmp_path):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "OUTPUT_DIR", str(tmp_path))
    model = detector(cfg)
    model.shot.head.box_deltas.bias.register_hook(lambda gradient: gradient / 0)
    before = weights(model)
    with pytest.raises(FloatingPointError, match="iteration 0 the gradients are .* 0.jpg, 1.jpg"):
        take_steps(make_step(model, cfg, [images()]))
    assert_same_weights(model, before)


# The optimizer


def build_plain_adamw(cfg, model):
    rate = cfg.SOLVER.BASE_LR
    groups = get_default_optimizer_params(
        model, base_lr=rate, bias_lr_factor=2.0, weight_decay_bias=0.0, weight_decay_norm=0.0
    )
    decay = cfg.SOLVER.WEIGHT_DECAY
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=decay, foreach=False)
    return maybe_add_gradient_clipping(cfg, optimizer)


@pytest.mark.parametrize("clip", ["", "value", "norm"])
@pytest.mark.parametrize(
    ("build", "build_plain"), [(build_sgd, build_optimizer), (build_adamw, build_plain_adamw)]
)
def test_fused_steps_are_those_of_detectron2_and_torch(build, build_plain, clip):
    cfg = tiny_config()
    if clip:
        clipping = cfg.SOLVER.CLIP_GRADIENTS
        clipping.ENABLED, clipping.CLIP_TYPE, clipping.CLIP_VALUE = True, clip, 0.05
    cfg.SOLVER.WEIGHT_DECAY_BIAS, cfg.SOLVER.BIAS_LR_FACTOR = 0.0, 2.0
    models = [torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)) for _ in "ab"]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [build(cfg, models[0]), build_plain(cfg, models[1])]
    inputs = torch.rand(5, 4)
    for _ in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            (model(inputs) ** 3).sum().backward()
        step_unless(optimizers[0], torch.tensor(False))
        optimizers[1].step()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "build",
    [build_sgd, build_adamw, lambda cfg, model: torch.optim.SGD(model.parameters(), lr=0.1)],
    ids=["SGD", "AdamW", "not fused"],
)
def test_a_step_that_is_left_out_changes_nothing(build):
    model = torch.nn.Linear(4, 3)
    optimizer = build(tiny_config(), model)
    before = weights(model)
    model(torch.full((1, 4), math.inf)).sum().backward()
    step_unless(optimizer, torch.tensor(True))
    assert_same_weights(model, before)
    for state in optimizer.state.values():
        assert not any(moment.any() for moment in state.values())


def test_states_of_other_kernels_are_loaded_without_them():
    cfg, model = tiny_config(), torch.nn.Linear(4, 3)
    theirs = build_optimizer(cfg, model)
    model(torch.ones(1, 4)).sum().backward()
    theirs.step()
    own_model = copy.deepcopy(model)
    ours = build_sgd(cfg, own_model)
    name_parameters(ours, own_model)
    ours.load_state_dict(adapt_optimizer_state(ours, copy.deepcopy(theirs.state_dict())))
    assert all(group["fused"] and not group["foreach"] for group in ours.param_groups)
    momenta = [[s["momentum_buffer"] for s in o.state.values()] for o in (ours, theirs)]
    for one, other in zip(*momenta, strict=True):
        assert one.any() and torch.equal(one, other)


# The average of the weights


def test_the_average_forgets_the_first_weights_soon_and_later_ones_slowly():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    average = WeightAverage(model, decay=0.5)
    expected = None
    for count, value in enumerate((4.0, 2.0, 8.0, 1.0, 3.0, 5.0, 6.0, 7.0, 9.0)):
        with torch.no_grad():
            model[0].weight.fill_(value)
            model[1].running_var.fill_(value)
            model[1].num_batches_tracked.fill_(int(value))
        average.update()
        keep = min(0.5, (1 + count) / (10 + count))
        expected = value if count == 0 else keep * expected + (1 - keep) * value
        assert average.model[0].weight.item() == pytest.approx(expected)
        assert average.model[1].running_var.item() == pytest.approx(expected)
        assert average.model[1].num_batches_tracked == int(value)
    assert not average.model.training and not average.model[0].weight.requires_grad


def test_a_step_brings_the_average_up_to_date():
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.WARMUP_ITERS", 0)
    model = detector(cfg)
    average = WeightAverage(model, decay=0.9)
    accelerate(model, cfg)
    take_steps(make_step(model, cfg, [images(1)], average))
    assert_same_weights(average.model, weights(model))
    take_steps(make_step(model, cfg, [images(1)], average))
    name = "head.head.face_logits.weight"
    assert not torch.equal(average.model.state_dict()[name], model.state_dict()[name])


# Refusals


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["SOLVER.AMP.PRECISION", "half"], "SOLVER.AMP.PRECISION must be .*float16.*'half'"),
        (["SOLVER.EMA.DECAY", 1.0], "SOLVER.EMA.DECAY must be .* below 1, found 1.0"),
        (["SOLVER.COMPILE", "fast"], "SOLVER.COMPILE must be .*'inductor', found 'fast'"),
        (
            ["SOLVER.COMPILE", "inductor", "SOLVER.ACTIVATION_CHECKPOINTING", True],
            "SOLVER.COMPILE and SOLVER.ACTIVATION_CHECKPOINTING exclude each other",
        ),
    ],
)
def test_switches_that_cannot_work_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        check_switches(tiny_config("DF2S2/DF2S2_R50.yaml", *overrides))


@pytest.mark.parametrize("parts", [0, 3, 64])
def test_a_batch_has_whole_parts(parts):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.ACCUMULATE", parts)
    with pytest.raises(ValueError, match="SOLVER.ACCUMULATE must divide the 32 images"):
        make_step(torch.nn.Linear(2, 2), cfg)
