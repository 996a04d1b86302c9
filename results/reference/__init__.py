"""Published scores, as data: ``cmteb.csv``, and what makes it. ``results/published.py`` reads it."""
