"""Asking models that generate text: each question once in the life of a run, and judges of their answers."""
