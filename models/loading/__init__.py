"""From the name of a model or a folder to a loaded adapter: its files, its settings, and the evidence for each."""
