"""A search for faces over a Ray cluster as a command makes it, and what it prints."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence

import ray.data
import torch
from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager
from ray.exceptions import RayError

from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.inference.media.face_search import tile_above
from df2s2_d2.inference.media.interruption import sigterm_interrupts
from df2s2_d2.inference.media.run_settings import detector_settings
from df2s2_d2.inference.media.sources import as_utf8
from df2s2_d2.inference.ray_data import part_attempts
from df2s2_d2.inference.ray_data.cluster import Pool, connected, machines
from df2s2_d2.inference.ray_data.cluster_record import ClusterRecord
from df2s2_d2.inference.ray_data.output_folder import OutputFolder
from df2s2_d2.inference.ray_data.part_worker import Job, PartSummary, PartWorker
from df2s2_d2.inference.ray_data.progress import Progress
from df2s2_d2.inference.ray_options import RayOptions
from df2s2_d2.inference.runtimes.engines import OPENVINO_SUFFIX
from df2s2_d2.models import local_file


def search_on_cluster(
    cfg: CfgNode,
    detector: DetectorOptions,
    inputs: Sequence[str],
    options: RayOptions,
    *,
    score_threshold: float,
    shown_threshold: float,
) -> int:
    """Look for faces in all images, and print what came of it.

    Args:
        cfg: of ``face_search.detector_config``, for a detector that is not used here.
        detector: options of the command.
        inputs: see :func:`~df2s2_d2.inference.ray_data.image_list.find_images`.
        options: of the command.
        score_threshold: faces with a higher score are written.
        shown_threshold: faces with a higher score are counted as shown.

    Returns:
        The exit code: 0, 1 after failures, or 130 if the run was interrupted.

    Raises:
        OSError, ValueError, ImportError: if nothing can be done, or the results cannot be written
            any more.
    """
    if cfg.MODEL.WEIGHTS.endswith(OPENVINO_SUFFIX):
        raise ValueError(
            f"{cfg.MODEL.WEIGHTS} is one of two files, and workers are sent one: give the ONNX file"
        )
    started = time.monotonic()
    output, progress = OutputFolder(options.output), Progress()
    settings = {
        **detector_settings(cfg, detector),
        # Which one "auto" is depends on the machines of the cluster.
        "--runtime": detector.runtime,
        "--save": options.formats,
        "--write-threshold": score_threshold,
    }
    record = ClusterRecord(output, settings)
    num_images = record.list_images(inputs, options.resume, progress.fail)
    is_interrupted = False
    try:
        with connected(options.address), sigterm_interrupts():
            uses_gpus = torch.device(cfg.MODEL.DEVICE).type == "cuda"
            pool = Pool.choose(machines(), options.workers, uses_gpus)
            part_size = record.begin(pool.wanted)
            weights = PathManager.get_local_path(local_file(cfg.MODEL.WEIGHTS))
            with open(weights, "rb") as file:
                content = file.read()
            job = Job(
                output=output,
                part_size=part_size,
                formats=tuple(options.formats),
                config=cfg.dump(),
                weights_name=os.path.basename(weights),
                weights=content,
                device="cuda" if pool.num_gpus else "cpu",
                threads=max(1, pool.num_cpus),
                batch_size=detector.batch_size,
                tile_above=tile_above(cfg),
                precision=detector.precision,
                runtime=detector.runtime,
                score_threshold=score_threshold,
                shown_threshold=shown_threshold,
                root=os.getcwd(),
            )
            progress.follow(_summaries(job, pool, -(-num_images // part_size)), num_images)
            output.remove(part_attempts.FOLDER)
    except RayError as error:
        raise OSError(
            f"The Ray cluster failed ({_last_line(error)}): see that every machine of it has this "
            "version of df2s2_d2, and run again with --resume"
        ) from error
    except KeyboardInterrupt:
        is_interrupted = True
    print(
        f"{'Interrupted after ' if is_interrupted else ''}"
        f"{progress.num_images:,} of {num_images:,} images: "
        f"{progress.num_shown:,} faces with a score above {shown_threshold:g}, "
        f"{progress.num_faces:,} candidates above {score_threshold:g}, "
        f"{progress.num_failures:,} failures, "
        f"in {time.monotonic() - started:.0f} s -> {as_utf8(options.output)}"
    )
    for failure in progress.failures():
        print(failure, file=sys.stderr)
    return 130 if is_interrupted else int(progress.num_failures > 0)


def _summaries(job: Job, pool: Pool, num_parts: int) -> Iterator[PartSummary]:
    """Have all parts looked at. Ray has the parts of workers that died done again."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # A block for each part, and no task that reads them: it would wait for a core, all of which
    # the workers have.
    parts = ray.data.from_items(
        [{"part": number} for number in range(num_parts)], override_num_blocks=num_parts
    )
    parts.context.enable_progress_bars = False
    summaries = parts.map_batches(
        PartWorker,
        batch_size=1,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(
            min_size=pool.size, max_size=pool.wanted, max_tasks_in_flight_per_actor=2
        ),
        num_cpus=pool.num_cpus,
        num_gpus=pool.num_gpus,
    )
    for row in summaries.iter_rows():
        yield PartSummary.from_row(row)


def _last_line(error: Exception) -> str:
    """What a traceback that Ray hands on ends with."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
