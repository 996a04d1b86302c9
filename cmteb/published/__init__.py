"""Published C-MTEB scores, as data: ``scores.csv``, what makes it, and the table that ``rank`` and ``verify`` read."""
