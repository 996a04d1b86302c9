"""Where the rows of data sets come from."""
