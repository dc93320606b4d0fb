"""The papers' tables as runs: what their rows are, what came of them, and both side by side."""
