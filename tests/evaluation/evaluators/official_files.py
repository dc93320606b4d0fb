"""Where the files of a drawn split lie."""

from __future__ import annotations

from pathlib import Path


def official_files(sample_dataset: Path, split: str) -> dict[str, Path]:
    """Images and annotations of a drawn split, and the lists of the official tools, of val."""
    root = sample_dataset / "wider_face"
    return {
        "image_dir": root / f"WIDER_{split}/images",
        "annotation_file": root / f"wider_face_split/wider_face_{split}_bbx_gt.txt",
        "ground_truth_dir": root / "eval_tools/ground_truth",
    }
