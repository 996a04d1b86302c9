"""Published scores of LongBench and InfiniteBench."""
