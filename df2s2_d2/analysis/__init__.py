"""What a config makes of a data set, before any training."""
