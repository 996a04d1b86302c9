"""``flagbench cache``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse

from flagbench.runners.arguments import add_examples, add_store_option
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import console


def add_cache(parser: Parser) -> None:
    """Add the flags of ``flagbench cache``."""
    actions = parser.add_subparsers(metavar="info|clear|verify", required=True)
    for name, run, help_ in (
        ("info", _info, "list the cached models and the space they take"),
        ("clear", _clear, "remove everything from the cache"),
        ("verify", _verify, "read every byte, and fix what is damaged"),
    ):
        action = actions.add_parser(name, help=help_)
        add_examples(action, f"flagbench cache {name}", f"flagbench cache {name} --store /data/flagbench-store")
        add_store_option(action)
        action.set_defaults(run=run, own_cache=True)


def _info(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show_cache import show_store
    from flagbench.runners.request import default_store
    from flagbench.runners.store.upkeep import inventory

    root = options.store or default_store()
    show_store(root, inventory(root), console())
    return 0


def _clear(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show_cache import show_cleared
    from flagbench.runners.request import default_store
    from flagbench.runners.store.upkeep import clear

    root = options.store or default_store()
    show_cleared(root, clear(root), console())
    return 0


def _verify(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show_cache import show_verified
    from flagbench.runners.request import default_store
    from flagbench.runners.store.upkeep import verify

    root = options.store or default_store()
    verified = verify(root)
    show_verified(root, verified, console())
    return 1 if verified.damaged else 2 if verified.unread or verified.strange else 0
