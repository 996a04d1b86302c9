"""What a model costs in use: texts of a benchmark sent under load, and how long the answers take."""
