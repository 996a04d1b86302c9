"""The regression gate: rules, checks, verdicts, and the files that say them."""
