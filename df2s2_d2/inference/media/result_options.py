"""Options of a command that say what is written of the faces found."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from df2s2_d2.inference.argument_types import number_up_to, path_name
from df2s2_d2.inference.ray_options import FORMATS as CLUSTER_FORMATS

DEFAULT_FOLDER = Path("found")
SCORE_THRESHOLD = 0.01
# Format -> what it writes.
FORMATS = {
    "json": "detections.json",
    "jsonl": "detections.jsonl",
    "csv": "detections.csv",
    "wider": "wider/<event>/<image>.txt",
    "coco": "coco.json with coco_images.json",
    "yolo": "yolo/labels/<image>.txt",
    "voc": "voc/Annotations/<image>.xml",
}
DEFAULT_FORMATS = ["json"]


@dataclass(frozen=True)
class ResultOptions:
    """What :class:`~df2s2_d2.inference.media.result_files.ResultFiles` writes.

    Attributes:
        folder: for all that is written.
        formats: of ``FORMATS``.
        score_threshold: faces with a higher score are written.
        coco_ground_truth: COCO JSON that has the ids of the images; None for numbers from 1.
    """

    folder: Path
    formats: list[str]
    score_threshold: float
    coco_ground_truth: Path | None

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser."""
        found = parser.add_argument_group("what to write")
        found.add_argument(
            "--output",
            type=path_name,
            default=str(DEFAULT_FOLDER),
            metavar="FOLDER",
            help="for all that is written (%(default)s); files of the same name are overwritten, "
            "others stay",
        )
        found.add_argument(
            "--save",
            nargs="*",
            action="extend",
            choices=tuple({**FORMATS, **CLUSTER_FORMATS}),
            help=f"formats of the results ({' '.join(DEFAULT_FORMATS)}): "
            f"{', '.join(FORMATS.values())}; nothing for none",
        )
        found.add_argument(
            "--write-threshold",
            type=number_up_to(1),
            default=SCORE_THRESHOLD,
            metavar="SCORE",
            help="faces with a higher score are in the results (%(default)s)",
        )
        found.add_argument(
            "--coco-ground-truth",
            type=Path,
            metavar="FILE",
            help="COCO JSON that coco.json is to be compared with: gives the images their ids",
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> ResultOptions:
        """The options as they were parsed.

        Raises:
            argparse.ArgumentError: if they contradict each other.
        """
        formats = DEFAULT_FORMATS if args.save is None else args.save
        if args.coco_ground_truth and "coco" not in formats:
            raise argparse.ArgumentError(
                None, "--coco-ground-truth changes coco.json: add --save coco"
            )
        folder = Path(args.output)
        return cls(folder, formats, args.write_threshold, args.coco_ground_truth)
