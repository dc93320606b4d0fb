"""Images, videos and cameras in; result files, pictures and videos out."""
