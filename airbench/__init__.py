"""AIR-Bench 24.04 and 24.05. Nothing is here yet: the README lists what is planned."""
