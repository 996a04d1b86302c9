"""One adapter contract, and every model family behind it. Imports nothing of the other packages."""
