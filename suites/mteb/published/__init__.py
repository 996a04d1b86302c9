"""Published scores of mteb's tasks that come with FlagBench."""
