"""The WIDER FACE protocol in plain loops, written from its description: slow, and easy to check."""

from __future__ import annotations


def overlap(a, b):
    """IoU of two boxes x, y, width, height whose sides count pixels."""
    ax2, ay2, bx2, by2 = a[0] + a[2], a[1] + a[3], b[0] + b[2], b[1] + b[3]
    width = min(ax2, bx2) - max(a[0], b[0]) + 1
    height = min(ay2, by2) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    area_a = (ax2 - a[0] + 1) * (ay2 - a[1] + 1)
    area_b = (bx2 - b[0] + 1) * (by2 - b[1] + 1)
    return width * height / (area_a + area_b - width * height)


def judge_image(detections, faces, kept, iou_threshold):
    """(score, is a proposal, finds a new face) of each detection, by descending score."""
    found = [False] * len(faces)
    verdicts = []
    for *box, score in sorted(detections, key=lambda row: -row[4]):
        overlaps = [overlap(box, face) for face in faces]
        best = overlaps.index(max(overlaps))
        if overlaps[best] < iou_threshold:
            verdicts.append((score, True, False))
        elif not kept[best]:
            verdicts.append((score, False, False))
        else:
            verdicts.append((score, True, not found[best]))
            found[best] = True
    return verdicts


def evaluate_setting(detections, boxes, kept, iou_threshold):
    """Precision and recall at 1,000 thresholds, and average precision, in one setting.

    Args:
        detections: image -> list of [x, y, width, height, score]; images may be left out.
        boxes: image -> list of [x, y, width, height].
        kept: image -> list of bool.
    """
    scores = [row[4] for image in boxes for row in detections.get(image, [])]
    low, high = min(scores), max(scores)
    verdicts = []
    for image, faces in boxes.items():
        if faces and detections.get(image):
            verdicts += judge_image(detections[image], faces, kept[image], iou_threshold)
    span = high - low or 1  # equal scores become 0
    verdicts = [((score - low) / span, *rest) for score, *rest in verdicts]

    num_kept = sum(sum(mask) for mask in kept.values())
    precision, recall = [], []
    for t in range(1, 1001):
        threshold = 1 - t / 1000
        reached = [verdict for verdict in verdicts if verdict[0] >= threshold]
        proposals = sum(is_proposal for _, is_proposal, _ in reached)
        faces_found = sum(is_new for _, _, is_new in reached)
        precision.append(faces_found / proposals if proposals else 1.0)
        recall.append(faces_found / num_kept)

    area, previous = 0.0, 0.0
    for t, value in enumerate(recall):
        if value > previous:
            area += (value - previous) * max(precision[t:])
            previous = value
    return precision, recall, area
