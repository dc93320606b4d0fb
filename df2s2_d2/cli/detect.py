"""Find the faces in images, videos, streams and camera pictures.

  df2s2 detect photos/ 'more/**/*.jpg' clip.mp4
  df2s2 detect photos/ --output found/ --save json csv --no-pictures
  df2s2 detect street.mp4 --output safe/ --blur
  df2s2 detect street.mp4 --save csv --track
  df2s2 detect photos/ --crops 0.3 --threshold 0.8
  df2s2 detect --webcam 0 --show
  df2s2 detect rtsp://10.0.0.7/live/1 --duration 60
  df2s2 detect photos/ --weights model.pth
  df2s2 detect photos/ --config-file CONFIG --opts MODEL.WEIGHTS model.pth
  df2s2 detect photos/ --save jsonl --no-pictures --shard 2/8 --resume
  df2s2 detect s3://bucket/photos --ray auto --output s3://bucket/found --resume

Writes where they are, and the pictures with the faces framed (confidence as opacity), hidden, or
cut out; protocol.json beside them holds how they were looked for, as it is printed. What cannot be
read is listed at the end and stops nothing; the exit code is then 1. Ctrl-C ends a run early and
keeps what was found; --resume goes on after whatever ended a run.
"""

from __future__ import annotations

import argparse
import os

from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.inference.media.long_run_options import LongRunOptions
from df2s2_d2.inference.media.picture_options import PictureOptions
from df2s2_d2.inference.media.result_options import ResultOptions
from df2s2_d2.inference.media.source_options import SourceOptions
from df2s2_d2.inference.media.tracking_options import TrackingOptions
from df2s2_d2.inference.ray_options import RayOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s (PATH ... | --webcam N) [options]"
    for options in (
        SourceOptions,
        DetectorOptions,
        ResultOptions,
        PictureOptions,
        TrackingOptions,
        LongRunOptions,
        RayOptions,
    ):
        options.add_arguments(parser)
    training = parser.add_argument_group("training")
    training.add_argument(
        "--weak-masks",
        nargs="+",
        action="extend",
        default=[],
        metavar="EVENT/IMAGE",
        help="draw, for images of DATASETS.TRAIN, the masks that the segmentation branch learns "
        "from, and what it predicts",
    )


def run(args: argparse.Namespace) -> int:
    cluster = RayOptions.from_args(args)
    detector = DetectorOptions.from_args(args)
    sources = SourceOptions.from_args(args)
    results = ResultOptions.from_args(args)
    pictures = PictureOptions.from_args(args)
    tracking = TrackingOptions.from_args(args, results.formats)
    # Workers fetch photographs from addresses, too; what a stream shows does not come again.
    long_run = LongRunOptions() if cluster else LongRunOptions.from_args(args)
    if not (sources or args.weak_masks):
        raise argparse.ArgumentError(None, "give images or videos, or a camera by --webcam")

    # OpenCV and its ffmpeg would write lines of their own about files that are reported here.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from df2s2_d2.config_protocol import protocol_of
    from df2s2_d2.evaluation.protocol import write_protocol
    from df2s2_d2.inference.media.face_search import (
        detector_config,
        lowest_score,
        search_faces,
        tile_above,
    )

    lowest = lowest_score(results, pictures, tracking)
    cfg = detector_config(detector, lowest, is_used_here=cluster is None)
    exit_code = 0
    if sources:
        protocol = protocol_of(cfg, tile_above(cfg)).above(results.score_threshold)
        print(f"[{protocol.describe()}]")
        if cluster is not None:
            from df2s2_d2.evaluation.protocol import PROTOCOL_FILE, protocol_content
            from df2s2_d2.inference.ray_data.output_folder import OutputFolder
            from df2s2_d2.inference.ray_data.run import search_on_cluster

            exit_code = search_on_cluster(
                cfg,
                detector,
                sources.inputs,
                cluster,
                score_threshold=results.score_threshold,
                shown_threshold=pictures.threshold,
            )
            OutputFolder(cluster.output).write(PROTOCOL_FILE, protocol_content(protocol))
            return exit_code
        exit_code = search_faces(
            cfg,
            detector,
            sources,
            results,
            pictures,
            tracking,
            long_run,
            on_start=lambda: write_protocol(protocol, results.folder),
        )
    if args.weak_masks:
        from df2s2_d2.inference.trained_weights import build_trained
        from df2s2_d2.visualization.training_mask_pictures import draw_training_masks

        draw_training_masks(cfg, build_trained(cfg), args.weak_masks, results.folder)
    return exit_code
