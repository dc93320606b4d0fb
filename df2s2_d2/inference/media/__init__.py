"""Images, videos, streams and cameras in; result files, pictures and videos out."""
