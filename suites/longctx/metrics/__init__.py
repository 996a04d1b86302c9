"""How answers are scored: the rules of LongBench and InfiniteBench, in each of their public versions."""
