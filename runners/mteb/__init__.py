"""mteb's task objects as the engine runs them: loaded from our snapshots, scored by mteb's own code over our search."""
