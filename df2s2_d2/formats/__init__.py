"""Readers and writers of annotation files and of files of detections, one module a format.

Nothing here needs more than NumPy (and SciPy for ``.mat``); nothing here knows of data sets,
models or scores. Annotations are :class:`~.annotated_image.AnnotatedImage`, detections are arrays
of ``x, y, width, height, score`` by the name of their image; FDDB's faces are ellipses, and have a
layout of their own.

================================  ==================================================================
annotations                       ``wider_face_text``, ``wider_face_mat``, ``coco_json``,
                                  ``fddb_folds``
detections                        ``wider_face_detections``, ``coco_results``, ``fddb_detections``;
                                  ``detection_files`` reads whichever it finds
what they share                   ``annotated_image``, ``rows_by_image``, ``fddb_blocks``,
                                  ``folder_or_zip``, ``growing_files``
================================  ==================================================================
"""
