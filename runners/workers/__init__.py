"""One model in several places: processes of this machine, or actors of a Ray cluster."""
