"""Published scores, as data: ``cmteb.csv``, and what makes it. ``results/published/scores.py`` reads it."""
