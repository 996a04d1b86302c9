"""Long contexts: needles, passkeys, topics, LongBench, InfiniteBench, RULER, perplexity and MMLU."""
