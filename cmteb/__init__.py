"""C-MTEB: the registry of its tasks, how their data is loaded and checked, and how they are scored through mteb."""
