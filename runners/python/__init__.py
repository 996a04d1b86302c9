"""FlagBench from Python: an evaluation as a call, and its results as values."""
