"""Errors in plain loops: detections are really mended, and then scored by the plain protocol."""

from __future__ import annotations

from tests.evaluation.wider_face.reference import evaluate_setting, overlap


def name_errors(detections, boxes, kept):
    """Tell the kind of each error.

    Args:
        detections: image -> list of [x, y, width, height, score].
        boxes: image -> list of [x, y, width, height].
        kept: image -> list of bool.

    Returns:
        (image, place in its list) of a detection -> kind and its face; (image, face) -> "missed".
    """
    errors, missed = {}, {}
    for image, faces in boxes.items():
        if not faces:
            continue
        found, claimed = set(), set()
        rows = list(enumerate(detections.get(image, [])))
        for place, (*box, _) in sorted(rows, key=lambda row: -row[1][4]):
            overlaps = [overlap(box, face) for face in faces]
            iou = max(overlaps)
            face = overlaps.index(iou)
            if iou < 0.1:
                errors[image, place] = "background", None
            elif iou < 0.5:
                errors[image, place] = "badly placed", face
                claimed.add(face)
            elif face in found:
                if kept[image][face]:
                    errors[image, place] = "duplicate", face
            else:
                found.add(face)
        for face, is_kept in enumerate(kept[image]):
            if is_kept and face not in found | claimed:
                missed[image, face] = "missed"
    return errors, missed


def mend(detections, boxes, kept, kinds, only=None):
    """Detections and kept faces as they would be without some errors.

    Args:
        kinds: to be mended.
        only: (image, place) of a single detection to be mended; None for all.
    """
    errors, missed = name_errors(detections, boxes, kept)
    mended = {}
    for image, rows in detections.items():
        rows = [list(row) for row in rows]
        gone = set()
        for place in range(len(rows)):
            kind, _ = errors.get((image, place), (None, None))
            if only in (None, (image, place)) and kind in kinds:
                if kind in ("duplicate", "background"):
                    gone.add(place)
        moved = [
            place
            for place in range(len(rows))
            if errors.get((image, place), ("",))[0] == "badly placed"
            and "badly placed" in kinds
            and only in (None, (image, place))
        ]
        for face in {errors[image, place][1] for place in moved}:
            movers = [place for place in moved if errors[image, place][1] == face]
            finders = [
                place
                for place, (*box, _) in enumerate(rows)
                if (image, place) not in errors and _face_of(box, boxes[image]) == face
            ]
            if not kept[image][face]:
                gone.update(movers)
                continue
            rivals = finders + movers
            best = max(rivals, key=lambda place: rows[place][4])  # the first of ties
            gone.update(set(rivals) - {best})
            if best in movers:
                rows[best] = [*boxes[image][face], rows[best][4]]
        mended[image] = [row for place, row in enumerate(rows) if place not in gone]
    if "missed" in kinds:
        kept = {
            image: [k and (image, face) not in missed for face, k in enumerate(mask)]
            for image, mask in kept.items()
        }
    return mended, kept


def _face_of(box, faces):
    overlaps = [overlap(box, face) for face in faces]
    return overlaps.index(max(overlaps)) if max(overlaps) >= 0.5 else None


def mended_ap(detections, boxes, kept, kinds, only=None):
    """Average precision without some errors, by the plain protocol."""
    rows, kept = mend(detections, boxes, kept, kinds, only)
    return evaluate_setting(rows, boxes, kept, 0.5)[2]
