"""How a run goes, whatever it trains: detectron2's keys, and behind them this project's."""

train = dict(
    output_dir="./output",
    # Weights that the whole model starts from, "" = none.
    init_checkpoint="",
    max_iter=48300,
    eval_period=4025,
    log_period=20,
    device="cuda",
    # Below 0 a random one.
    seed=-1,
    # So many of the newest periodic checkpoints are kept, None = all.
    checkpointer=dict(period=4025, max_to_keep=None),
    # "float16", "bfloat16", or "" = what suits the device.
    amp=dict(enabled=False, precision=""),
    ddp=dict(static_graph=False),
    # ImageNet weights of the bottom-up network, as tools/convert_*.py or torchvision give them.
    bottom_up_weights="weights/resnet50.pth",
    # The figure that model_best.pth is chosen by.
    best_metric="wider_face/AP_hard",
    # "wandb", "mlflow": trackers that get the figures too.
    trackers=[],
    # Moving average of the weights, which is tested in place of the latest.
    ema=dict(enabled=False, decay=0.9998),
    # Parts that each process computes its share of a batch in.
    accumulate=1,
    channels_last=False,
    # Backend of torch.compile, "" = not compiled.
    compile="",
    activation_checkpointing=False,
)
