"""Convert annotations between WIDER FACE's text, COCO JSON, YOLO and Pascal VOC.

  df2s2 convert wider_face_train_bbx_gt.txt --output train.json
  df2s2 convert wider_face_train_bbx_gt.txt --to yolo --output faces/ --images WIDER_train/images
  df2s2 convert faces/ --output faces.txt
  df2s2 convert VOC2012/ --to coco --output faces.json

A format is known by a suffix (.txt, .json, .yaml) or by what is in a folder; --from and --to name
it. YOLO and VOC need the sizes of images, which are read from their heads. What a format does not
hold is told in one line; after an error nothing is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from df2s2_d2.formats.annotation_formats import FORMATS, format_of_output, recognise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "annotations",
        type=Path,
        help="a file of WIDER FACE or COCO; YOLO's data.yaml, the folder that holds labels/, or "
        "one of labels; the folder that holds VOC's Annotations/, or these",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="a file, or for YOLO and VOC the folder in which labels/ or Annotations/ is made",
    )
    formats = ", ".join(f"{name}: {what}" for name, what in FORMATS.items())
    parser.add_argument(
        "--from", dest="source_format", choices=tuple(FORMATS), help=f"what is read ({formats})"
    )
    parser.add_argument(
        "--to",
        dest="target_format",
        choices=tuple(FORMATS),
        help="what is written; needed where the suffix of the output does not tell it",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="the images, to read their sizes; YOLO's images/ and VOC's JPEGImages/ are found",
    )
    parser.add_argument(
        "--image-sizes",
        type=Path,
        metavar="CSV",
        help="columns image, width, height: no image is opened",
    )
    parser.add_argument("--split", choices=("train", "val", "test"), help="of YOLO's data.yaml")
    parser.add_argument(
        "--voc-origin",
        type=int,
        choices=(1, 0),
        default=1,
        help="what VOC's xmin is at the border of an image (%(default)s: pixels counted from 1, as "
        "in VOC itself; 0: edges from 0)",
    )
    parser.add_argument(
        "--link-images",
        action="store_true",
        help="link the images to where YOLO or VOC has them, beside the annotations",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is at the output")


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.formats.annotation_files import AnnotationSource
    from df2s2_d2.formats.conversion import convert

    target_format = args.target_format or format_of_output(args.output)
    if target_format is None:
        raise argparse.ArgumentError(
            None, f"the name {args.output} tells no format: add --to, one of {', '.join(FORMATS)}"
        )
    source_format = args.source_format or recognise(args.annotations)
    source = AnnotationSource(args.annotations, source_format, args.split, args.voc_origin)
    done = convert(
        source,
        args.output,
        target_format,
        voc_origin=args.voc_origin,
        image_dir=args.images,
        sizes_file=args.image_sizes,
        overwrite=args.overwrite,
        link_images=args.link_images,
    )
    print(
        f"{args.annotations} ({source_format}) -> {args.output} ({target_format}): "
        f"{done.num_images:,} images, {done.num_empty:,} of them without faces; "
        f"{done.num_boxes:,} faces, {done.num_ignored:,} of them to be ignored"
    )
    print(f"dropped: {done.describe_dropped()}")
