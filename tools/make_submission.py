"""Pack detections into a checked archive for the test server of WIDER FACE.

python tools/make_submission.py DETECTIONS wider_face_test_filelist.txt --output submission.zip

DETECTIONS is a folder of <event>/<image>.txt or a zip archive of one. Images without a file in it
get one with a count of 0. Equal detections make an equal archive, byte for byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from df2s2_d2.evaluation import read_detections
from df2s2_d2.evaluation.protocol import describe_protocol, read_protocol
from df2s2_d2.evaluation.wider_face.submission import (
    check_submission,
    read_image_names,
    write_submission,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("detections", type=Path)
    parser.add_argument(
        "image_list", type=Path, help="text of the images' paths, or an annotation text"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.zip")
    arguments = parser.parse_args()
    try:
        images = read_image_names(arguments.image_list)
        detections = read_detections(arguments.detections)
        protocol = read_protocol(arguments.detections)
        write_submission(arguments.output, detections, images)
        written = check_submission(arguments.output, images)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    num_detections = sum(map(len, written.values()))
    print(f"{arguments.output}: {num_detections:,} detections in {len(written):,} images, checked")
    print(f"images without a file in {arguments.detections}: {len(images) - len(detections):,}")
    print(f"[{describe_protocol(protocol)}]")


if __name__ == "__main__":
    main()
