"""Published scores, and what a run is beside them."""
