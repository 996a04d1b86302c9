"""A team's own data as tasks: the layout of a folder is recognised by its files, and no code is needed."""
