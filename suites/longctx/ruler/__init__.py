"""RULER: 13 tasks that are generated, each at several lengths of context (arXiv 2404.06654, NVIDIA/RULER)."""
