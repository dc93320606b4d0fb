"""Readers and writers of annotation files and of files of detections, one module a format.

Nothing here needs more than NumPy (SciPy for ``.mat``, Pillow for the heads of images, PyYAML for
``data.yaml``); nothing here knows of data sets, models or scores. Files may be a stranger's: what
is wrong with them is a ValueError that names file and place. Annotations are
:class:`~.annotated_image.AnnotatedImage`, detections are arrays of ``x, y, width, height, score``
by the name of their image; FDDB's faces are ellipses, and have a layout of their own.

================================  ==================================================================
annotations                       ``wider_face_text``, ``wider_face_mat``, ``coco_json``, ``yolo``
                                  with ``yolo_layout``, ``voc_xml``, ``fddb_folds``;
                                  ``annotation_files`` reads and writes whichever it is told of,
                                  ``annotation_formats`` recognises them, ``conversion`` makes one
                                  of the other
detections                        ``wider_face_detections``, ``coco_results``, ``fddb_detections``;
                                  ``detection_files`` reads whichever it finds
sizes of images                   ``image_header``, ``image_size_table``; ``image_sizes`` looks in
                                  all places
what they share                   ``annotated_image``, ``categories``, ``rows_by_image``,
                                  ``detection_rows``, ``dropped``, ``fddb_blocks``,
                                  ``file_hash``, ``folder_or_zip``, ``growing_files``,
                                  ``json_file``, ``mat_file``, ``whole_numbers``,
                                  ``whole_outputs``, ``yaml_file``
================================  ==================================================================
"""
