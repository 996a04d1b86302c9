"""How anything runs: the command line, the plan, the engine, encoding, search, and the bridge to mteb."""
