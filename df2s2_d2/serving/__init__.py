"""Finding faces as a service: an HTTP endpoint with a schema, and a page for browsers.

``app`` puts the parts together: a request passes ``admission`` (rate, places, size of the body),
is opened as an image (``uploads``) or a video (``videos``), and waits in ``batching`` for the
detector. Nothing that is sent is kept.
"""
