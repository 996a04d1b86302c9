"""Further benchmarks, a folder each. None imports another, and nobody else needs to know them but the registry. Those
whose tasks mteb scores do so through cmteb/, where mteb is."""
