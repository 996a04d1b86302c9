"""``python -m flagbench``: the same as the ``flagbench`` command."""

from flagbench.runners.commands.cli import main

if __name__ == "__main__":
    main()
