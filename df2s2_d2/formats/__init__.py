"""Readers and writers of annotation files and of files of detections, one module a format.

Nothing here needs more than NumPy; nothing here knows of data sets, models or scores. Files may be
a stranger's: what is wrong with them is a ValueError that names file and place. Annotations are
:class:`~.annotated_image.AnnotatedImage`, detections are arrays of ``x, y, width, height, score``
by the name of their image; FDDB's faces are ellipses, and have a layout of their own.

================================  ==================================================================
annotations                       ``wider_face_text``, ``wider_face_mat``, ``coco_json``,
                                  ``fddb_folds``
detections                        ``wider_face_detections``, ``coco_results``, ``fddb_detections``;
                                  ``detection_files`` reads whichever it finds
what they share                   ``annotated_image``, ``rows_by_image``, ``fddb_blocks``,
                                  ``detection_rows``, ``folder_or_zip``, ``growing_files``,
                                  ``json_file``, ``mat_file``, ``whole_numbers``
================================  ==================================================================
"""
