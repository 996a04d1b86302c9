"""Any task of mteb of texts and images by name, and submissions to mteb's results repository."""
