"""What may be wrong in a data set: kinds of findings, and the findings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        key: its name in files.
        title: its name for people.
        meaning: what it means for a training, and what to do.
        is_error: whether a training stops for it.
    """

    key: str
    title: str
    meaning: str
    is_error: bool = False


@dataclass(frozen=True)
class Finding:
    """Something that may be wrong.

    Attributes:
        kind: what.
        reason: what was found, in words and numbers.
        image: number of the image in its data set; None for the data set as a whole.
        box: number of the box among all labels, if it is about one.
        other_box: number of the box that it is compared with, if there is one.
        detection: x, y, width and height in pixels of what a detector found, if it is about that.
        file: a file that is in no annotations.
        weight: among findings of a kind those of a greater weight come first.
    """

    kind: Kind
    reason: str
    image: int | None = None
    box: int | None = None
    other_box: int | None = None
    detection: tuple[float, float, float, float] | None = None
    file: str | None = None
    weight: float = 0.0


NO_FACE = Kind(
    "no_face",
    "No face to train on",
    "Every box is lost, so a training does not start. Boxes are x, y, width, height in pixels of "
    "the upright image.",
    is_error=True,
)
MISSING = Kind(
    "missing_image",
    "Annotated images that do not exist",
    "A training does not start. Put the files there, or take them out of the annotations.",
    is_error=True,
)
UNREADABLE = Kind(
    "unreadable_image",
    "Images that cannot be read",
    "A training stops at such an image, unless DATALOADER.SKIP_BROKEN_IMAGES is on. Restore the "
    "file, or leave it out.",
    is_error=True,
)
OTHER_SIZE = Kind(
    "other_size",
    "Images of another size than annotated",
    "A training stops at such an image: its boxes cannot fit. Put back the image that was "
    "annotated, or scale boxes and size.",
    is_error=True,
)
NOT_ANNOTATED = Kind(
    "not_annotated",
    "Images that are not annotated",
    "They lie in the folder of images, but no annotation names them: a training never sees them.",
)
NO_AREA = Kind(
    "no_area",
    "Boxes without an area",
    "Width or height is zero or negative. Training drops them; the face, if there is one, becomes "
    "background.",
)
SHARES = Kind(
    "in_shares",
    "Boxes between 0 and 1",
    "They seem to be shares of the image. Boxes have to be in pixels.",
)
OUTSIDE = Kind(
    "outside_image",
    "Boxes outside the image",
    "Training drops them. Often the image is another one than was annotated, or it was turned.",
)
OFF_CENTRE = Kind(
    "off_centre",
    "Boxes whose centre is outside the image",
    "Training drops them. Where there are many, boxes may be corners that were taken for sizes.",
)
OVER_BORDER = Kind(
    "over_border",
    "Boxes that reach over the border",
    "Training clips them to the image, so they are no longer the face as it was annotated.",
)
COVERS_IMAGE = Kind(
    "covers_image",
    "Boxes that cover the image",
    "A face as large as its image is rare; more often a box was left over from another annotation.",
)
DUPLICATE = Kind(
    "duplicate_box",
    "Boxes annotated twice",
    "The same face stands in the file twice: in an evaluation one of the two is always missed.",
)
NEAR_DUPLICATE = Kind(
    "near_duplicate_box",
    "Boxes that nearly coincide",
    "Two faces can hardly overlap as much; more often one was annotated twice.",
)
IN_IGNORED = Kind(
    "in_ignored_region",
    "Faces inside ignored regions",
    "A region to be ignored covers them. One of the two may be wrong; the face is trained on.",
)
ODD_SHAPE = Kind(
    "odd_shape",
    "Boxes of an implausible shape",
    "Faces are about 0.8 to 2 times as high as wide.",
)
TINY = Kind(
    "tiny_box",
    "Tiny boxes",
    "On so few pixels no face can be told; training drops those below INPUT.MIN_FACE_SIZE.",
)
UNSEEN = Kind(
    "unseen_face",
    "Faces that the detector does not see",
    "It misses faces, small ones above all; but a large one that it does not see may be an animal, "
    "a lamp or an empty place, which a training would learn as a face.",
)
UNLABELLED = Kind(
    "unlabelled_face",
    "Faces that only the detector sees",
    "A training learns them as background. Where the detector is right, add them; "
    "tools/complete_labels.py does it by scores.",
)

KINDS = (
    NO_FACE,
    MISSING,
    UNREADABLE,
    OTHER_SIZE,
    NOT_ANNOTATED,
    NO_AREA,
    SHARES,
    OUTSIDE,
    OFF_CENTRE,
    OVER_BORDER,
    COVERS_IMAGE,
    DUPLICATE,
    NEAR_DUPLICATE,
    IN_IGNORED,
    ODD_SHAPE,
    TINY,
    UNSEEN,
    UNLABELLED,
)
