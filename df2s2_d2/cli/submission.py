"""Pack detections into a checked archive for the test server of WIDER FACE.

  df2s2 submission DETECTIONS wider_face_test_filelist.txt --output submission.zip

DETECTIONS is a folder of <event>/<image>.txt or a zip archive of one. Images without a file in it
get one with a count of 0. Equal detections make an equal archive, byte for byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "detections",
        type=Path,
        help="folder or zip archive of <event>/<image>.txt, or a file .jsonl of df2s2 detect",
    )
    parser.add_argument(
        "image_list", type=Path, help="text of the images' paths, or an annotation text"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.zip")


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.evaluation import read_detections
    from df2s2_d2.evaluation.image_names import check_image_names
    from df2s2_d2.evaluation.protocol import describe_protocol, read_protocol
    from df2s2_d2.evaluation.wider_face.submission import (
        check_submission,
        read_image_names,
        write_submission,
    )

    images = read_image_names(args.image_list)
    detections = read_detections(args.detections)
    check_image_names(args.detections, detections, images, str(args.image_list))
    protocol = read_protocol(args.detections)
    write_submission(args.output, detections, images)
    written = check_submission(args.output, images)
    num_detections = sum(map(len, written.values()))
    print(f"{args.output}: {num_detections:,} detections in {len(written):,} images, checked")
    print(f"images without a file in {args.detections}: {len(images) - len(detections):,}")
    print(f"[{describe_protocol(protocol)}]")
