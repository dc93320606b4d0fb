#!/usr/bin/env python3
"""Find the faces in images, videos and camera pictures.

Writes where they are, and the pictures with the faces framed (confidence as opacity), hidden, or
cut out. What cannot be read is listed at the end and stops nothing; the exit code is then 1.
Ctrl-C ends a run early and keeps what was found.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

# OpenCV and its ffmpeg would write lines of their own about files that are reported here.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2
import numpy as np
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from tqdm import tqdm

from df2s2_d2.hardware import usable_device
from df2s2_d2.inference.checkpoint_config import named_config
from df2s2_d2.inference.fast_path import PRECISIONS
from df2s2_d2.inference.media import privacy, result_files
from df2s2_d2.inference.media.face_finding import FaceFinding
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.sources import (
    FOUND_SUFFIXES,
    as_utf8,
    camera_source,
    check_output,
    find_sources,
)
from df2s2_d2.inference.media.video_recorder import can_copy_sound
from df2s2_d2.inference.predictor import Predictor
from df2s2_d2.inference.trained_weights import check_weights_file, load_trained
from df2s2_d2.visualization.training_mask_pictures import draw_training_masks

EXAMPLES = """examples:
  python demo.py --weights model.pth --input photos/ 'more/**/*.jpg' clip.mp4 --output found/
  python demo.py --weights model.pth --input photos/ --output found/ --save json csv --no-pictures
  python demo.py --weights model.pth --input street.mp4 --output safe/ --blur
  python demo.py --weights model.pth --input photos/ --output found/ --crops 0.3 --threshold 0.8
  python demo.py --weights model.pth --webcam 0 --output found/ --show
  python demo.py --config-file CONFIG --input photos/ --output found/ --opts MODEL.WEIGHTS model.pth
"""

# A face that is hidden needlessly does less harm than one that is not.
THRESHOLD, HIDING_THRESHOLD = 0.5, 0.2
WRITE_THRESHOLD = 0.01
CROP_MARGIN = 0.3


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked as far as it can be without reading files."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="demo.py (--weights FILE | --config-file FILE) (--input ... | --webcam N) "
        "--output FOLDER [options]",
    )
    model = parser.add_argument_group("detector")
    model.add_argument(
        "--weights", metavar="FILE", help="a trained model; the config is taken from it"
    )
    model.add_argument(
        "--config-file",
        metavar="FILE",
        help="a config; needed if the model carries none, as those trained elsewhere",
    )
    model.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs over the config, last"
    )

    seen = parser.add_argument_group("where to look")
    seen.add_argument(
        "--input",
        nargs="+",
        default=[],
        metavar="PATH",
        help="images, videos, folders with all below them, and patterns such as 'a/**/*.jpg'; in "
        "folders and patterns files count whose suffix is one of "
        f"{' '.join(sorted(FOUND_SUFFIXES))}",
    )
    seen.add_argument(
        "--webcam", type=int, metavar="N", help="a camera, from 0; q or Ctrl-C ends the recording"
    )

    found = parser.add_argument_group("what to write")
    found.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for all that is written; files of the same name are overwritten, others stay",
    )
    found.add_argument(
        "--save",
        nargs="*",
        choices=result_files.FORMATS,
        default=["json"],
        help="formats of the results: detections.json (the default), detections.csv, "
        "wider/<event>/<image>.txt, coco.json with coco_images.json; nothing for none",
    )
    found.add_argument(
        "--write-threshold",
        type=_up_to(1),
        default=WRITE_THRESHOLD,
        metavar="SCORE",
        help="faces with a higher score are in the results (%(default)s)",
    )
    found.add_argument(
        "--coco-ground-truth",
        type=Path,
        metavar="FILE",
        help="COCO JSON that coco.json is to be compared with: gives the images their ids",
    )

    pictures = parser.add_argument_group("pictures")
    pictures.add_argument(
        "--threshold",
        type=_up_to(1),
        metavar="SCORE",
        help="faces with a higher score are in pictures and crops "
        f"({THRESHOLD}; with --blur {HIDING_THRESHOLD})",
    )
    pictures.add_argument(
        "--no-pictures", dest="pictures", action="store_false", help="write the results only"
    )
    pictures.add_argument(
        "--crops",
        nargs="?",
        type=_up_to(10),
        const=CROP_MARGIN,
        metavar="MARGIN",
        help="write every face into crops/ too, with this share of its size on each side "
        "(%(const)s)",
    )
    pictures.add_argument(
        "--blur",
        nargs="?",
        choices=privacy.STYLES,
        const=privacy.STYLES[0],
        help="make the faces unrecognisable (%(const)s). A face that is not found stays visible: "
        "the lower --threshold, the fewer there are; look the pictures through before you "
        "publish them. In videos, fill is the only style that cannot be undone in part",
    )
    pictures.add_argument(
        "--boxes",
        action=argparse.BooleanOptionalAction,
        help="frame the faces (the default but with --blur)",
    )
    pictures.add_argument("--show", action="store_true", help="show the pictures; q stops")

    speed = parser.add_argument_group("speed")
    speed.add_argument(
        "--batch-size",
        type=_positive,
        default=8,
        metavar="N",
        help="most images in the network at once (%(default)s), and together at most "
        "TEST.AUG.MAX_PIXELS; about 5 N are in memory",
    )
    speed.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="fp32",
        help="of the arithmetic (%(default)s); auto is bf16 where that is fast; maps of some "
        "detectors exceed fp16",
    )

    training = parser.add_argument_group("training")
    training.add_argument(
        "--weak-masks",
        nargs="+",
        default=[],
        metavar="EVENT/IMAGE",
        help="draw, for images of DATASETS.TRAIN, the masks that the segmentation branch learns "
        "from, and what it predicts",
    )

    args = parser.parse_args(arguments)
    if not (args.weights or args.config_file):
        parser.error("give a trained model by --weights, or a config by --config-file")
    if not (args.input or args.webcam is not None or args.weak_masks):
        parser.error("give images or videos by --input, or a camera by --webcam")
    if args.blur and args.crops is not None:
        parser.error("--crops writes the very faces that --blur hides: choose one of them")
    if args.blur and not (args.pictures or args.show):
        parser.error("--blur changes pictures, and --no-pictures writes none: choose one of them")
    if args.coco_ground_truth and "coco" not in args.save:
        parser.error("--coco-ground-truth changes coco.json: add --save coco")
    if args.show and not _has_display():
        parser.error("--show needs a display, and there is none: leave it out")
    if args.threshold is None:
        args.threshold = HIDING_THRESHOLD if args.blur else THRESHOLD
    if args.boxes is None:
        args.boxes = not args.blur
    return args


def _up_to(limit: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not 0 <= value <= limit:
            raise argparse.ArgumentTypeError(f"expected a number from 0 to {limit}, found {text}")
        return value

    return parse


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text}")
    return value


def _has_display() -> bool:
    """Whether a window can be opened; asked without one, Qt ends the process."""
    is_linux = sys.platform.startswith("linux")
    return not is_linux or bool(os.getenv("DISPLAY") or os.getenv("WAYLAND_DISPLAY"))


def load_detector_config(args: argparse.Namespace) -> CfgNode:
    """The config of the detector, which gives out all faces that any threshold asks for.

    Raises:
        OSError, ValueError: if the config or the weights are missing or wrong.
    """
    cfg = named_config(args.weights, args.config_file, args.opts)
    if not cfg.MODEL.WEIGHTS:
        raise ValueError("no trained model is given: add --weights FILE")
    check_weights_file("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
    cfg.MODEL.DEVICE = usable_device(cfg.MODEL.DEVICE)
    wanted = min(args.write_threshold, args.threshold)
    detector = cfg.MODEL.FACE_DETECTOR
    detector.SCORE_THRESH_TEST = min(detector.SCORE_THRESH_TEST, wanted)
    return cfg


def find_faces(cfg: CfgNode, args: argparse.Namespace) -> int:
    """Look for faces in all inputs, and print what came of it.

    Returns:
        The exit code: 0, 1 after failures, or 130 if the run was interrupted.

    Raises:
        OSError, ValueError: if nothing can be done, or the results cannot be written any more.
    """
    sources = find_sources(args.input, args.output)
    if args.webcam is not None:
        sources.append(camera_source(args.webcam))
    if args.pictures:
        check_output(sources, args.output)
    num_images = sum(not source.is_video for source in sources)
    if num_images < len(sources) and args.pictures and not can_copy_sound():
        print("Videos are written without sound; with ffmpeg installed they keep it")

    predictor = Predictor(
        cfg, batch_size=args.batch_size, precision=args.precision, image_format="RGB"
    )
    pictures = Pictures(
        args.output,
        threshold=args.threshold,
        is_written=args.pictures,
        is_shown=args.show,
        draws_boxes=args.boxes,
        hide=args.blur,
        crop_margin=args.crops,
    )
    started = time.monotonic()
    formats = args.output, args.save, args.write_threshold, args.coco_ground_truth
    results = ResultFiles(*formats)
    finding = FaceFinding(
        predictor,
        results,
        pictures,
        follow=functools.partial(follow, is_shown=args.show),
        batch_size=args.batch_size,
    )
    is_interrupted = False
    try:
        with results:
            finding.run(sources)
    except KeyboardInterrupt:
        is_interrupted = True
    finally:  # Whatever ended the run, it says how far it came.
        looked_at = [f"{finding.num_images:,} of {num_images:,} images"] if num_images else []
        looked_at += [f"{finding.num_frames:,} video frames"] if num_images < len(sources) else []
        print(
            f"{'Interrupted after ' if is_interrupted else ''}{' and '.join(looked_at)}: "
            f"{finding.num_shown:,} faces with a score above {args.threshold:g}, "
            f"{results.num_faces:,} candidates above {args.write_threshold:g}, "
            f"in {time.monotonic() - started:.0f} s -> {as_utf8(args.output)}"
        )
        for failure in finding.failures:
            print(failure, file=sys.stderr)
    return 130 if is_interrupted else int(bool(finding.failures))


def follow(
    pictures: Iterable[np.ndarray | None],
    *,
    name: str,
    unit: str,
    total: int | None,
    is_shown: bool,
) -> bool:
    """Draw a progress bar, and show the pictures if that is wanted; False once q is pressed."""
    for picture in tqdm(pictures, name, total, unit=unit, disable=None):
        if is_shown and picture is not None:
            cv2.imshow("faces (q stops)", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            if cv2.waitKey(1) & 0xFF == ord("q"):
                return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse_arguments(arguments)
    try:
        cfg = load_detector_config(args)
        exit_code = 0
        if args.input or args.webcam is not None:
            exit_code = find_faces(cfg, args)
        if args.weak_masks:
            model = build_model(cfg).eval()
            load_trained(model, cfg.MODEL.WEIGHTS)
            draw_training_masks(cfg, model, args.weak_masks, args.output)
    except (OSError, ValueError) as error:
        print(f"demo.py: {error}", file=sys.stderr)
        return 1
    return exit_code


if __name__ == "__main__":
    # A run that a scheduler ends keeps what it found, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
