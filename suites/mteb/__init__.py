"""Any text task of mteb by name, and submissions to mteb's results repository."""
