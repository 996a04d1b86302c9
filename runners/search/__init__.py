"""From queries and passages to ranked passages and their metrics."""
