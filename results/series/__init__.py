"""Runs that differ in one setting: their scores along it, and the smallest setting that is not surely worse."""
