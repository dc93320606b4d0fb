"""Installing what this package needs and pip does not find."""
