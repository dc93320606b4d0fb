"""Every configuration key that this project adds to detectron2's defaults.

Numbers of the papers that belong to one experiment stand in ``configs/``; a default that holds
for all of them stands here, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg
from yaml import YAMLError

from df2s2_d2.shipped_configs import config_path
from df2s2_d2.test_protocols import expand_protocols, protocol_overrides

# Keys whose default is none, which stands for that of another key.
_NULLABLE = frozenset({"SOLVER.WEIGHT_DECAY_BIAS"})


def load_config(config_file: str = "", overrides: list[str] | tuple[str, ...] = ()) -> CN:
    """detectron2's defaults, this project's keys, a config file over them and overrides at last.

    Args:
        config_file: YAML, possibly naming a ``_BASE_`` file; YAML that would run code is refused.
            A path, or the name of a shipped config such as "DF2S2/DF2S2_R50.yaml".
        overrides: ``[key, value, key, value, ...]``.

    Raises:
        ValueError: naming the file or key and what is wrong with it.
    """
    if config_file.endswith(".py"):
        raise ValueError(f"Config {config_file} is Python: give it to `df2s2 train-lazy`")
    cfg = _default_config()
    if config_file:
        with _naming(f"Config {config_file}"):
            cfg.merge_from_file(config_path(config_file), allow_unsafe=False)
            _apply_protocol(cfg)
            _refuse_nulls(cfg)
    place = f"Config {config_file} with overrides" if config_file else "Config overrides"
    merge_overrides(cfg, overrides, place)
    return cfg


def parse_config(text: str, place: str) -> CN:
    """As :func:`load_config`, from YAML as ``CfgNode.dump`` writes it.

    Args:
        text: the YAML.
        place: where it comes from, for error messages.

    Raises:
        ValueError: naming the place and what is wrong.
    """
    cfg = _default_config()
    with _naming(place):
        cfg.merge_from_other_cfg(CN.load_cfg(text))
        _apply_protocol(cfg)
        _refuse_nulls(cfg)
    return cfg


def merge_overrides(
    cfg: CN, overrides: list[str] | tuple[str, ...], place: str = "Config overrides"
) -> None:
    """Change keys of ``cfg`` in place.

    Args:
        cfg: not frozen.
        overrides: ``[key, value, key, value, ...]``; a later one goes over what TEST.PROTOCOL sets.
        place: where they come from, for error messages.

    Raises:
        ValueError: naming the place, the key and what is wrong with it.
    """
    with _naming(place):
        cfg.merge_from_list(expand_protocols(overrides))
        _refuse_nulls(cfg)


def _apply_protocol(cfg: CN) -> None:
    """Turn the name of a protocol into its keys, which alone say how a config's test is."""
    if cfg.TEST.PROTOCOL:
        cfg.merge_from_list(protocol_overrides(cfg.TEST.PROTOCOL))
        cfg.TEST.PROTOCOL = ""


def _refuse_nulls(cfg: CN, above: str = "") -> None:
    """Refuse keys without a value, which may be of any type for detectron2."""
    for key, value in cfg.items():
        name = f"{above}{key}"
        if isinstance(value, CN):
            _refuse_nulls(value, f"{name}.")
        elif value is None and name not in _NULLABLE:
            raise ValueError(f"{name} has no value: give it one, or leave the key out")


def _default_config() -> CN:
    cfg = get_cfg()
    add_df2s2_config(cfg)
    return cfg


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Whatever a wrong config makes its reader stumble over becomes one error that says where."""
    try:
        yield
    except FileNotFoundError as error:
        if error.filename is None:  # it is told in words already
            raise ValueError(str(error)) from error
        raise ValueError(f"The config file {error.filename} does not exist") from error
    except (AttributeError, TypeError) as error:
        reason = _one_line(str(error))
        raise ValueError(f"{place}: it is not a mapping of keys to values ({reason})") from error
    except RecursionError as error:
        raise ValueError(f"{place}: its _BASE_ leads back to itself") from error
    except (KeyError, ValueError, AssertionError, YAMLError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(f"{place}: {_one_line(str(message))}") from error


def _one_line(message: str) -> str:
    """A message without line ends, and without the middle if it shows the whole of a config."""
    words = " ".join(message.split())
    return words if len(words) <= 400 else f"{words[:200]} … {words[-150:]}"


def add_df2s2_config(cfg: CN) -> None:
    """Add the keys of this project to ``cfg`` in place; keys of detectron2 keep their values."""
    _add_input_config(cfg)
    _add_pyramid_config(cfg)
    _add_detector_config(cfg)
    _add_test_config(cfg)
    _add_solver_config(cfg)
    # The figure, as metrics.json names it, whose best model is kept as model_best.pth.
    cfg.TEST.BEST_METRIC = "wider_face/AP_hard"
    # Share of the training images that SAMPLER_TRAIN "RandomSubsetTrainingSampler" shows.
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 1.0
    # Newest periodic checkpoints that are kept, 0 = all; model_best and model_final always are.
    cfg.SOLVER.CHECKPOINT_KEEP = 0
    # Trackers that get the figures of a training too: "wandb", "mlflow".
    cfg.TRACKERS = ()


def _add_input_config(cfg: CN) -> None:
    # Random square crop (on with INPUT.CROP.ENABLED): side as a share of the short side, and the
    # share of the training images that are cropped.
    cfg.INPUT.SQUARE_CROP = CN({"MIN_SCALE": 0.3, "MAX_SCALE": 1.0, "PROBABILITY": 1.0})
    # Share of the crops whose side is the whole short side instead.
    cfg.INPUT.SQUARE_CROP.WHOLE_SIDE_PROBABILITY = 0.0
    # Anchor-based sampling (DSFD): this share of the training images is cropped so that a face
    # gets about the size of an anchor, in pixels of the RESIZE_SQUARE_TRAIN image that it needs;
    # the others are left to the square crop.
    cfg.INPUT.ANCHOR_SAMPLING = CN({"ENABLED": False, "PROBABILITY": 0.4})
    cfg.INPUT.ANCHOR_SAMPLING.ANCHOR_SIZES = [16, 32, 64, 128, 256, 512]
    # A random window, stretched to RESIZE_SQUARE_TRAIN, instead of these crops. With
    # FACE_PROBABILITY its size gives a face a size in the range FACE_SIZES, in pixels of the
    # result; else its side is a share of the short side in the range SCALE, above 1 with a border.
    cfg.INPUT.RANDOM_WINDOW = CN({"ENABLED": False, "SCALE": [0.3, 2.0]})
    cfg.INPUT.RANDOM_WINDOW.FACE_SIZES = [8.0, 128.0]
    cfg.INPUT.RANDOM_WINDOW.FACE_PROBABILITY = 0.5
    # Range of the factor on the height / width of all faces in it: 1 keeps their shape.
    cfg.INPUT.RANDOM_WINDOW.SQUEEZE = [1.0, 1.0]
    # Share of the training images that are mosaics: four images at half of RESIZE_SQUARE_TRAIN.
    cfg.INPUT.MOSAIC = CN({"PROBABILITY": 0.0})
    # Side in pixels to which training images are resized, square; 0 = by INPUT.MIN_SIZE_TRAIN.
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 0
    # Whether training images that are shrunk are decoded at 1/2, 1/4 or 1/8 of their size, if JPEG.
    cfg.INPUT.REDUCED_DECODING = True
    # Random brightness, contrast, saturation and hue of training images.
    cfg.INPUT.PHOTOMETRIC_DISTORTION = False
    # Random loss of detail and colour: enlarged, grey, blurred, noisy and compressed images.
    cfg.INPUT.DEGRADATION = False
    # Faces with a side below this many pixels after all transforms are not trained on.
    cfg.INPUT.MIN_FACE_SIZE = 1.0
    # Neither are faces of which a side shows less than this many pixels of the original image.
    cfg.INPUT.MIN_ORIGINAL_FACE_SIZE = 0.0
    # What both are instead: "drop" = background, "ignore" = regions as INVALID_FACES makes them.
    cfg.INPUT.SMALL_FACES = "drop"
    # Whether a training image that cannot be decoded is passed over and counted, not an error.
    cfg.DATALOADER.SKIP_BROKEN_IMAGES = False
    # With SAMPLER_TRAIN "WeightedTrainingSampler", how often an epoch shows the images of a data
    # set, as pairs such as ["wider_face_train", 0.5]; those of others once.
    cfg.DATASETS.TRAIN_REPEAT_FACTOR = []
    # That times this one for images of an event, the first folder of their image_id, as pairs
    # such as ["0--Parade", 2.0].
    cfg.DATASETS.TRAIN_EVENT_FACTOR = []
    # What boxes marked `invalid` are in training: "ignore" (kept out of the loss), "face", "drop".
    cfg.DATASETS.INVALID_FACES = "ignore"


def _add_pyramid_config(cfg: CN) -> None:
    # Bottom-up network: a name in detectron2's BACKBONE_REGISTRY. Its maps are called c2, c3, ...
    cfg.MODEL.BOTTOM_UP = CN({"NAME": "build_resnet_backbone"})
    # ImageNet weights for it, a path, "" = none: torchvision's ResNets and VGG16, timm's networks.
    cfg.MODEL.BOTTOM_UP.WEIGHTS = ""
    # Channels of a 1x1 convolution, norm ("" = none) and ReLU behind each of its maps; 0 = the maps
    # as they are. For networks whose maps are not rectified, such as EfficientNets and MobileNets.
    cfg.MODEL.BOTTOM_UP.LATERAL_CHANNELS = 0
    cfg.MODEL.BOTTOM_UP.LATERAL_NORM = "GN"
    # Levels added above the last bottom-up map by max-pooling it again and again.
    cfg.MODEL.BOTTOM_UP.NUM_POOLED_LEVELS = 0
    # Levels added above it by convolutions: for each, channels of a 1x1 convolution and of the
    # 3x3 convolution of stride 2 behind it, such as [[512, 512], [128, 256]].
    cfg.MODEL.BOTTOM_UP.CONV_LEVELS = []
    # Norm behind these convolutions, "" = none.
    cfg.MODEL.BOTTOM_UP.CONV_LEVELS_NORM = "BN"

    # build_vgg16_backbone. Channels of conv1; those of the other layers are multiples of it.
    cfg.MODEL.VGG = CN({"WIDTH": 64})
    # Norm behind every convolution, "" = none, as ImageNet weights of VGG16 want it.
    cfg.MODEL.VGG.NORM = ""
    # Dilation, and padding, of fc6's 3x3 convolution.
    cfg.MODEL.VGG.FC6_DILATION = 3
    # Initial scales of the L2 norms of conv3_3, conv4_3 and conv5_3; [] = no L2 norm.
    cfg.MODEL.VGG.L2_NORM_SCALES = [10.0, 8.0, 5.0]

    # build_timm_backbone: a name in timm.list_models(), and the strides of the maps it gives.
    cfg.MODEL.TIMM = CN({"NAME": "", "STRIDES": [4, 8, 16, 32]})
    # Whether its batch norms keep the mean and variance of their weights while it is trained.
    cfg.MODEL.TIMM.FREEZE_NORM = False

    # Neck: a name in NECK_REGISTRY ("FFP", "FPN", ...), and the bottom-up maps it reads.
    cfg.MODEL.NECK = CN({"NAME": "FFP", "IN_FEATURES": ["c2", "c3", "c4", "c5"]})

    cfg.MODEL.FFP = CN()
    # Channels of every output map (1x1 projections); 0 = as the bottom-up maps, as in the paper.
    cfg.MODEL.FFP.OUT_CHANNELS = 0
    # Kernel of the transposed convolution of an F-block: 2, or 4 (padding 1).
    cfg.MODEL.FFP.KERNEL_SIZE = 2
    # Norm and activation behind the transposed convolution; "" = none, "relu", "sigmoid".
    cfg.MODEL.FFP.NORM = ""
    cfg.MODEL.FFP.ACTIVATION = ""
    # Levels pooled from the topmost fused map, and the kernel of that stride-2 pooling (2 or 1).
    cfg.MODEL.FFP.NUM_POOLED_LEVELS = 2
    cfg.MODEL.FFP.POOL_KERNEL_SIZE = 2

    cfg.MODEL.FEM = CN()
    # How a map and the enlarged one above it are fused: "product" (FEM), "sum" (FPN), "none" (RFB).
    cfg.MODEL.FEM.FUSION = "product"
    # Bottom-up maps that are fused with the one above; [] = all.
    cfg.MODEL.FEM.FUSED_FEATURES = []
    # Whether the fused map, not the bottom-up map, goes on to the level below.
    cfg.MODEL.FEM.CASCADE = False
    # Convolutions on the fused map: "stacked" (FEM), "single" (RFB), "smoothing" (FPN), "released".
    cfg.MODEL.FEM.BRANCHES = "stacked"
    # Of the stacked branches: dilation, and whether each sees a third of the channels only.
    cfg.MODEL.FEM.DILATION = 3
    cfg.MODEL.FEM.SPLIT_INPUT = False
    # Channels of every output map (1x1 projections); 0 = as the branches give, as in the paper.
    cfg.MODEL.FEM.OUT_CHANNELS = 0
    # Levels pooled from the topmost map, as heads of other models want them; the paper has none.
    cfg.MODEL.FEM.NUM_POOLED_LEVELS = 0


def _add_detector_config(cfg: CN) -> None:
    cfg.MODEL.FACE_DETECTOR = CN()
    # Detections with lower scores are dropped.
    cfg.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST = 0.01
    # Highest-scoring anchors of an image, all levels together, that enter NMS.
    cfg.MODEL.FACE_DETECTOR.TOPK_CANDIDATES_TEST = 5000
    cfg.MODEL.FACE_DETECTOR.NMS_THRESH_TEST = 0.4
    # Whether boxes end on whole pixels: top left rounded down, width and height rounded up.
    cfg.MODEL.FACE_DETECTOR.ROUND_OUTWARD = False

    # The shot that detects at inference.
    cfg.MODEL.SHOT = _shot_config(in_features=["p2", "p3", "p4", "p5", "p6", "p7"], scale=4.0)

    # An auxiliary shot on the bottom-up maps that exists in training only.
    cfg.MODEL.FIRST_SHOT = _shot_config(in_features=["c2", "c3", "c4", "c5", "c6", "c7"], scale=2.0)
    cfg.MODEL.FIRST_SHOT.WEAK_MASK.ENABLED = False
    cfg.MODEL.FIRST_SHOT.ENABLED = False
    # Weight of the first shot's losses beside the second shot's.
    cfg.MODEL.FIRST_SHOT.LOSS_WEIGHT = 1.0


def _shot_config(in_features: list[str], scale: float) -> CN:
    shot = CN()
    # Maps of the backbone, finest first, that the shot works on.
    shot.IN_FEATURES = in_features

    # Head: a name in HEAD_REGISTRY ("TowerHead", "RetinaNetHead", ...).
    shot.HEAD = CN({"NAME": "TowerHead"})
    # Depth and width of a tower of 3x3 convolutions.
    shot.HEAD.NUM_CONVS = 4
    shot.HEAD.CONV_DIM = 256
    # Norm behind the tower's convolutions, "" = none.
    shot.HEAD.NORM = ""
    # How maps of unequal width enter the shared tower: "project" (1x1 convolutions before it) or
    # "unshared" (its first 3x3 convolution is not shared).
    shot.HEAD.ENTRY = "project"
    # Face probability that every anchor starts with.
    shot.HEAD.PRIOR_PROB = 0.01
    # SSDHead: background is the highest of three scores on the finest level, face on the others.
    shot.HEAD.MAX_IN_OUT = False

    # Anchors: sizes (square root of the area, pixels) are SCALE x stride x each of OCTAVES;
    # aspect ratios are height / width; centres lie at (cell index + OFFSET) x stride.
    shot.ANCHORS = CN({"SCALE": scale, "OFFSET": 0.5})
    shot.ANCHORS.OCTAVES = [2 ** (octave / 3) for octave in range(3)]
    shot.ANCHORS.ASPECT_RATIOS = [1.0, 1.5]

    # Anchors whose best IoU is below the first threshold are background, from the second on they
    # are positive, between the two they are left out of the loss.
    shot.MATCHING = CN({"IOU_THRESHOLDS": [0.4, 0.5]})
    # Whether every face also takes the anchors that fit it best, however badly they do.
    shot.MATCHING.ALLOW_LOW_QUALITY_MATCHES = True

    # "focal", or "mined_softmax": cross entropy over positives and each image's hardest negatives.
    shot.LOSS = CN({"CLASSIFICATION": "focal", "FOCAL_ALPHA": 0.25, "FOCAL_GAMMA": 2.0})
    # Mined negatives per positive of an image, and their number in an image without positives.
    shot.LOSS.NEGATIVE_RATIO = 3.0
    shot.LOSS.NEGATIVES_WITHOUT_FACE = 100
    # Where smooth-L1 turns from quadratic to linear.
    shot.LOSS.SMOOTH_L1_BETA = 1.0 / 9
    # Weights of the box code (dx, dy, dw, dh).
    shot.LOSS.BBOX_REG_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
    # What the sums over anchors are divided by: "global", "per_level", "literal" or
    # "participating".
    shot.LOSS.NORMALIZER = "global"
    # Weight of the box loss (lambda 1 of DF²S² eq. 2, beta of DSFD).
    shot.LOSS.BOX_REG_WEIGHT = 1.0

    # Weak-mask segmentation branch, training only.
    shot.WEAK_MASK = CN({"ENABLED": True})
    # Which faces a level's mask shows: those with a positive anchor on it ("matching") or those
    # whose size is near the level's anchor sizes ("scale").
    shot.WEAK_MASK.ASSIGNMENT = "matching"
    # Weight of the mask loss (lambda 2 of DF²S² eq. 2).
    shot.WEAK_MASK.LOSS_WEIGHT = 0.05
    return shot


def _add_solver_config(cfg: CN) -> None:
    # "SGD", or "AdamW", of which SOLVER.MOMENTUM is the first beta.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Factor on the learning rate of the bottom-up network, which starts from weights of its own.
    cfg.SOLVER.BOTTOM_UP_LR_FACTOR = 1.0
    # With SOLVER.AMP.ENABLED: "float16" (losses are scaled), "bfloat16", or "" = float16 on GPUs
    # and bfloat16 on processors that are faster in it than in float32.
    cfg.SOLVER.AMP.PRECISION = ""
    # Parts that a process computes its share of SOLVER.IMS_PER_BATCH in, one after the other.
    cfg.SOLVER.ACCUMULATE = 1
    # Whether the channels of a cell lie side by side in memory, as tensor cores want them.
    cfg.SOLVER.CHANNELS_LAST = False
    # Backend of torch.compile for network and losses, such as "inductor"; "" = not compiled.
    cfg.SOLVER.COMPILE = ""
    # Whether maps within blocks are computed again in backward instead of being kept.
    cfg.SOLVER.ACTIVATION_CHECKPOINTING = False
    # Whether processes rely on every step using all parameters alike (static_graph of torch's DDP).
    cfg.SOLVER.DDP_STATIC_GRAPH = False
    # Exponential moving average of the weights, which tests and detects in place of the latest;
    # DECAY is the share of it that a step keeps.
    cfg.SOLVER.EMA = CN({"ENABLED": False, "DECAY": 0.9998})


def _add_test_config(cfg: CN) -> None:
    # A paper's test by name, such as "dsfd-multi-scale": sets INPUT.*_TEST, TEST.AUG, thresholds
    # and the number of boxes over those of its file, and is "" once it has.
    cfg.TEST.PROTOCOL = ""

    # Test-time augmentation of any detector, on with TEST.AUG.ENABLED. Images are resized from
    # their originals, so INPUT.MIN_SIZE_TEST has no effect; a TEST.AUG.MAX_SIZE of 0 is no limit.

    # Sizes to look at each image in: SHORT_SIDE in pixels, or FACTOR of the original size; with
    # FLIP: True also mirrored; detections with sqrt(area) between MIN_FACE and MAX_FACE pixels of
    # the original image are kept. Such as [{FACTOR: 1.0, FLIP: True}, {FACTOR: 0.5, MIN_FACE: 30}].
    # [] = short sides TEST.AUG.MIN_SIZES, all mirrored with TEST.AUG.FLIP.
    cfg.TEST.AUG.SCALES = []
    # How detections of all sizes are merged: "box_voting", or "nms" by the model's own threshold.
    cfg.TEST.AUG.MERGE = "box_voting"
    # From this IoU on, boxes vote for one mean box.
    cfg.TEST.AUG.VOTE_IOU = 0.3
    # Whether a box stays that none other voted with.
    cfg.TEST.AUG.KEEP_SINGLE_VOTES = True
    # Most pixels, height x width after padding, that the model gets at once, augmented or not, and
    # what becomes of images enlarged beyond: "tile" or "skip". Others are always tiled.
    cfg.TEST.AUG.MAX_PIXELS = 4_000_000
    cfg.TEST.AUG.OVER_BUDGET = "tile"
    # Overlap of tiles in pixels; what is smaller than 3/4 of it is seen whole in one of them.
    cfg.TEST.AUG.TILE_OVERLAP = 256
