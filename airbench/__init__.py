"""AIR-Bench 24.04 and 24.05: retrieval for question answering and over long documents."""
