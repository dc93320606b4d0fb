"""Formats of the results of a run: each takes the faces of one frame after the other."""

from df2s2_d2.inference.media.result_formats.base import ResultFile, RunOutput
from df2s2_d2.inference.media.result_formats.coco import CocoResults
from df2s2_d2.inference.media.result_formats.file_per_frame import (
    VocResults,
    WiderResults,
    YoloResults,
)
from df2s2_d2.inference.media.result_formats.listed import (
    CsvResults,
    JsonLinesResults,
    JsonResults,
)

# Name, as that of result_options.FORMATS -> what writes it.
RESULT_FORMATS: dict[str, type[ResultFile]] = {
    "json": JsonResults,
    "jsonl": JsonLinesResults,
    "csv": CsvResults,
    "wider": WiderResults,
    "coco": CocoResults,
    "yolo": YoloResults,
    "voc": VocResults,
}

__all__ = ["RESULT_FORMATS", "ResultFile", "RunOutput"]
