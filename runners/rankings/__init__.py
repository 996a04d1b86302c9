"""Rankings that were made before, by whatever tool, as a model: read from run files, or fused of kept runs."""
