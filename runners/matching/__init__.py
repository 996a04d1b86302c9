"""Whether a server gives what a checkpoint gives, and why not: chosen texts, hypotheses, and which of them explains."""
