"""Results of a run: record, storage, table of scores, comparison, gate and page. Imports no other package."""
