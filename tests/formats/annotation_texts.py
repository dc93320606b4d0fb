"""Annotations that both their readers and the data sets made of them are tested with."""

WIDER_FACE_TEXT = """\
0--Parade/a.jpg
3
10 20 30 40 2 1 0 0 1 0
1 2 0 5 0 0 0 0 0 0
-3 4 8.5 9 0 0 1 1 2 1
1--Handshaking/b b.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/c.jpg
1
7 8 -9 10 0 0 0 0 0 0
"""

COCO_IMAGES = [
    {"id": 7, "file_name": "x/b.jpg"},
    {"id": 3, "file_name": "a.png", "height": 5, "width": 6},
]
