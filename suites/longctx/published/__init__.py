"""Published scores of LongBench, InfiniteBench and RULER."""
