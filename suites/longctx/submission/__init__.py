"""Predictions of a run in the layouts of the benchmarks' authors, which their own evaluations read."""
