"""A search for faces as a command makes it: from its options to what it prints."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from detectron2.config import CfgNode
from tqdm import tqdm

from df2s2_d2.hardware import usable_device
from df2s2_d2.inference.checkpoint_config import named_config
from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.inference.media.coco_image_ids import CocoImageIds
from df2s2_d2.inference.media.face_finding import FaceFinding
from df2s2_d2.inference.media.interruption import sigterm_interrupts
from df2s2_d2.inference.media.long_run_options import LongRunOptions
from df2s2_d2.inference.media.picture_options import PictureOptions
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.result_options import SCORE_THRESHOLD, ResultOptions
from df2s2_d2.inference.media.run_record import RunRecord, is_of_cluster, read_record
from df2s2_d2.inference.media.run_settings import run_settings
from df2s2_d2.inference.media.source_options import SourceOptions
from df2s2_d2.inference.media.sources import (
    Source,
    as_utf8,
    camera_source,
    check_output,
    find_sources,
)
from df2s2_d2.inference.media.tracking_options import TrackingOptions
from df2s2_d2.inference.media.video_io import writes_h264
from df2s2_d2.inference.predictor import TILE_ABOVE, Predictor
from df2s2_d2.inference.tracking import WEAK_SHARE
from df2s2_d2.inference.trained_weights import check_weights_file
from df2s2_d2.modeling.meta_arch_settings import detection_thresholds
from df2s2_d2.test_protocols import protocol_name


def lowest_score(
    results: ResultOptions, pictures: PictureOptions, tracking: TrackingOptions
) -> float:
    """The lowest score of faces that a run uses: it writes them, shows them, or follows them."""
    lowest = min(results.score_threshold, pictures.threshold)
    if not (tracking.is_written or pictures.hide):
        return lowest
    # Below what is written unasked, exported detectors give none.
    return min(lowest, max(WEAK_SHARE * pictures.threshold, SCORE_THRESHOLD))


def detector_config(options: DetectorOptions, lowest: float, is_used_here: bool = True) -> CfgNode:
    """The config of a detector, which gives out all faces that any threshold asks for.

    Args:
        options: name the detector.
        lowest: score of the faces that it is to give.
        is_used_here: whether its device is to be one of this machine.

    Raises:
        OSError, ValueError: if the config or the weights are missing or wrong.
    """
    cfg = named_config(options.weights, options.config_file, options.overrides)
    if not cfg.MODEL.WEIGHTS:
        raise ValueError("no trained model is given: add --weights FILE")
    check_weights_file("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
    if is_used_here:
        cfg.MODEL.DEVICE = usable_device(cfg.MODEL.DEVICE)
    thresholds = detection_thresholds(cfg)
    if thresholds:
        thresholds.SCORE_THRESH_TEST = min(thresholds.SCORE_THRESH_TEST, lowest)
    return cfg


def tile_above(cfg: CfgNode) -> int:
    """Length of a side, in pixels, beyond which images are looked at in tiles, too; 0 for none, as
    in the published tests."""
    return 0 if protocol_name(cfg) else TILE_ABOVE


def build_predictor(cfg: CfgNode, options: DetectorOptions) -> Predictor:
    """The detector of a command, for RGB images.

    Args:
        cfg: of :func:`detector_config`.
        options: of the command.

    Raises:
        OSError, ValueError: see :class:`~df2s2_d2.inference.predictor.Predictor`.
    """
    return Predictor(
        cfg,
        batch_size=options.batch_size,
        tile_above=tile_above(cfg),
        precision=options.precision,
        image_format="RGB",
        runtime=options.runtime,
    )


def search_faces(
    cfg: CfgNode,
    detector_options: DetectorOptions,
    source_options: SourceOptions,
    result_options: ResultOptions,
    picture_options: PictureOptions,
    tracking: TrackingOptions = TrackingOptions(),  # noqa: B008 (it cannot be changed)
    long_run: LongRunOptions = LongRunOptions(),  # noqa: B008 (it cannot be changed)
    on_start: Callable[[], None] = lambda: None,
) -> int:
    """Look for faces in all sources, and print what came of it.

    Args:
        cfg: of :func:`detector_config`.
        detector_options, source_options, result_options, picture_options, tracking, long_run:
            of the command.
        on_start: called once the results of an earlier run are gone, before there are new ones.

    Returns:
        The exit code: 0, 1 after failures, or 130 if the run was interrupted.

    Raises:
        OSError, ValueError: if nothing can be done, or the results cannot be written any more.
    """
    output = result_options.folder
    sources = find_sources(source_options.inputs, output, source_options.live)
    if source_options.camera is not None:
        sources.append(camera_source(source_options.camera, source_options.live))
    if picture_options.is_written:
        check_output(sources, output)
    ground_truth = result_options.coco_ground_truth
    image_ids = None if ground_truth is None else CocoImageIds.read(ground_truth)
    record = _open_record(
        sources,
        long_run,
        output,
        run_settings(cfg, sources, detector_options, result_options, picture_options, tracking),
    )
    num_images = sum(not source.is_video for source in record.sources)
    has_videos = num_images < len(record.sources)
    if has_videos and picture_options.is_written and not writes_h264():
        print(
            "Videos are written without sound, and browsers do not play them: run pip install "
            "'df2s2_d2[video]' for both"
        )

    predictor = build_predictor(cfg, detector_options)
    started = time.monotonic()
    results = ResultFiles(
        result_options.folder,
        result_options.formats,
        result_options.score_threshold,
        image_ids,
        sources=sources,
        shard=long_run.shard,
        state=record.checkpoint and record.checkpoint["results"],
        is_resumable=record.is_kept,
        has_tracks=tracking.is_written,
    )
    finding = FaceFinding(
        predictor,
        results,
        Pictures(output, **asdict(picture_options)),
        record=record,
        follow=functools.partial(follow, is_shown=picture_options.is_shown),
        batch_size=detector_options.batch_size,
        max_gap=tracking.max_gap,
    )
    is_interrupted = False
    try:
        with sigterm_interrupts(), results:
            if not long_run.resume:
                record.remove()  # no sooner, as what it is about was there until now
            on_start()
            with record.saved(results.sync):
                finding.run()
    except KeyboardInterrupt:
        is_interrupted = True
    finally:  # Whatever ended the run, it says how far it came.
        looked_at = [f"{finding.num_images:,} of {num_images:,} images"] if num_images else []
        looked_at += [f"{finding.num_frames:,} video frames"] if has_videos else []
        print(
            f"{'Interrupted after ' if is_interrupted else ''}"
            f"{' and '.join(looked_at) or 'No inputs'}: "
            f"{finding.num_shown:,} faces with a score above {picture_options.threshold:g}, "
            f"{results.num_faces:,} candidates above {result_options.score_threshold:g}, "
            f"in {time.monotonic() - started:.0f} s -> {as_utf8(output)}"
        )
        for failure in finding.failures:
            print(failure, file=sys.stderr)
    return 130 if is_interrupted else int(bool(finding.failures))


def _open_record(
    sources: Sequence[Source], long_run: LongRunOptions, output: Path, settings: dict[str, Any]
) -> RunRecord:
    """The record of a run, after what an earlier one did if that is to go on.

    Raises:
        OSError, ValueError: if that cannot go on.
    """
    shard = long_run.shard
    if is_of_cluster(output / "run.json"):
        raise FileExistsError(
            f"{as_utf8(output)} holds the results of a run over a cluster: choose another --output"
        )
    if not all(source.is_file for source in sources):
        return RunRecord(sources)  # which cannot go on
    path = output / f"run{shard.suffix}.json"
    record = RunRecord(shard.of(sources), path, settings)
    if not long_run.resume:
        earlier = None
        with contextlib.suppress(ValueError):
            earlier = read_record(path)
        if earlier is not None and not earlier["complete"]:
            print(
                f"{as_utf8(path)} is of a run that did not come to its end: it is made anew; "
                "--resume would have gone on with it"
            )
    elif record.load():
        print(
            f"{record.num_done:,} of {len(record.sources):,} inputs are done: going on after them"
        )
    else:
        print(f"{as_utf8(path)} does not exist: nothing to resume, the run starts anew")
    return record


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
