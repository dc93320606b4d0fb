"""What is in a data set, and what in it is probably not as it should be, before any training."""
