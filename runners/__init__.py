"""Running an evaluation: the command line, the plan, the engine, encoding, search, generation and workers."""
