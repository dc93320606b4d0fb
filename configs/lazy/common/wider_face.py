"""WIDER FACE: what is trained on and tested by; the augmentations of training are each model's."""

from detectron2.config import LazyCall as L
from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts

from df2s2_d2.data import FaceDatasetMapper, build_train_loader
from df2s2_d2.evaluation.evaluators import build_evaluator
from df2s2_d2.modeling.multi_scale import BoundedDetector, make_scales

dataloader = dict(
    train=L(build_train_loader)(
        # Images without faces teach what a face is not.
        dataset=L(get_detection_dataset_dicts)(names="wider_face_train", filter_empty=False),
        mapper=L(FaceDatasetMapper)(
            is_train=True,
            augmentations=[],
            image_format="RGB",
            invalid_faces="ignore",
            min_face_size=1.0,
            min_original_face_size=0.0,
            small_faces="drop",
        ),
        total_batch_size=32,
        num_workers=4,
        seed="${train.seed}",
    ),
    test=L(build_detection_test_loader)(
        dataset=L(get_detection_dataset_dicts)(names="wider_face_val", filter_empty=False),
        # No augmentation: images come in their original size.
        mapper=L(FaceDatasetMapper)(
            is_train=False,
            augmentations=[],
            image_format="${...train.mapper.image_format}",
            invalid_faces="ignore",
            min_face_size=1.0,
        ),
        num_workers=4,
    ),
    evaluator=L(build_evaluator)(
        dataset_name="${..test.dataset.names}",
        output_dir="${train.output_dir}/inference/${..test.dataset.names}",
    ),
)

# What a test runs in place of the model, which the trainer gives it: in bounded memory and, with
# is_augmented=True, in all of its scales.
test_detector = L(BoundedDetector)(
    scales=L(make_scales)(sizes=[]),
    is_augmented=False,
    max_pixels=4_000_000,
    merge="box_voting",
    nms_threshold="${model.nms_threshold}",
    max_detections="${model.max_detections}",
    image_format="${dataloader.test.mapper.image_format}",
)
