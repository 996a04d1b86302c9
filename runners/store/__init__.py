"""The embedding cache on disk: append-only shards of records with checksums."""
