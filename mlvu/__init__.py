"""MLVU dev and test. Nothing is here yet: the README lists what is planned."""
