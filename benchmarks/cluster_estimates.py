"""What many photographs would take on clusters of which there is none here."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from df2s2_d2.tables.markdown import markdown_table

ONE_PROCESS = "one process"
IMAGES = 10**7
GPUS = (1, 8, 64)


def cluster_throughput_tables(results: dict[str, Any], settings: dict[str, Any]) -> str:
    """What was measured, and what follows for many images on GPUs."""
    base = median(results["images_per_second"][ONE_PROCESS])
    rows = [
        [name, f"{median(speeds):.2f}", f"{median(speeds) / base:.2f}"]
        for name, speeds in results["images_per_second"].items()
    ]
    stages = results["stages_ms"]
    width, height = settings["size"]
    measured = [
        f"{settings['images']} JPEG files of {width} x {height}, one thread a process, medians of "
        f"{settings['repeats']}:",
        markdown_table(["", "images/s", "beside one process"], rows),
        "Of one core, an image takes "
        + ", ".join(f"{ms:.1f} ms to {name}" for name, ms in stages.items())
        + f"; the detector computes {results['operations'] / 1e9:.1f} GFLOP.",
    ]
    header = ["", "images/s", "hours for 10,000,000", "cost in USD", "MB/s of images"]
    costs = [
        [name, f"{speed:,.0f}", f"{hours:,.1f}", f"{cost:,.0f}", f"{megabytes:,.0f}"]
        for name, speed, hours, cost, megabytes in estimates(results, settings)
    ]
    return "\n\n".join([*measured, markdown_table(header, costs)])


def estimates(
    results: dict[str, Any], settings: dict[str, Any]
) -> Iterator[tuple[str, float, float, float, float]]:
    """Name, images/s, hours, cost and MB/s of images, of clusters on paper.

    A GPU's worker shares its cores out among fetching, decoding and writing, while the GPU detects:
    whatever is slower decides.
    """
    stages = {name: ms / 1000 for name, ms in results["stages_ms"].items()}
    beside_detecting = sum(seconds for name, seconds in stages.items() if name != "detect")
    of_gpu = settings["teraflops"] * 1e12 / results["operations"]
    of_cores = settings["gpu_cores"] / beside_detecting
    speeds = {
        f"{n} GPU{'s' * (n > 1)}, {n * settings['gpu_cores']} cores": (
            n * min(of_gpu, of_cores),
            n * settings["gpu_price"],
        )
        for n in GPUS
    }
    speeds["64 cores without a GPU"] = 64 / sum(stages.values()), 64 * settings["core_price"]
    for name, (speed, price) in speeds.items():
        hours = IMAGES / speed / 3600
        yield name, speed, hours, hours * price, speed * results["file_kb"] / 1000
