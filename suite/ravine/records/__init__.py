"""What is remembered: the columns of a run, its key, and the folder of shards."""
