"""Finding faces with a trained detector: in Python, on the command line, fast, and exported."""
