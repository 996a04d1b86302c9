"""One adapter contract, and every model family behind it. A leaf: imports nothing of the other rooms."""
