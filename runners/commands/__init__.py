"""The command line: one file a subcommand, which ``cli.py`` wires together. The only layer that prints and exits."""
