"""``flagbench models`` and ``flagbench models show``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from flagbench.runners.arguments import add_examples
from flagbench.runners.commands.evaluate import MODEL_HELP
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import console


def add_models(parser: Parser) -> None:
    """Add the flags of ``flagbench models``."""
    add_examples(parser, "flagbench models", "flagbench models show ./checkpoint-2000")
    parser.set_defaults(run=_models)
    parser.add_subparsers(metavar="show").add_parser(
        "show", help="show the family of a checkpoint, and every setting of it", fill=_add_show
    )


def _add_show(parser: Parser, _: Sequence[str]) -> None:
    from flagbench.runners.commands.options import add_model_options

    add_examples(
        parser, "flagbench models show BAAI/bge-m3 --retrieval hybrid", "flagbench models show ./checkpoint-2000"
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    add_model_options(parser)
    parser.set_defaults(run=_show)


def _models(options: argparse.Namespace) -> int:
    from flagbench.runners.commands.show import show_models

    show_models(console())
    return 0


def _show(options: argparse.Namespace) -> int:
    from flagbench.models.loading.resolve import resolve_model
    from flagbench.runners.commands.options import overrides_of
    from flagbench.runners.commands.show import show_model

    overrides = overrides_of(options)
    for name in options.models:
        for cutoff in range(overrides.results):
            model = resolve_model(
                name,
                options.revision,
                replace(overrides, cutoff=cutoff),
                trust_remote_code=options.trust_remote_code,
                allow_pickle=options.allow_pickle,
            )
            show_model(model, console())
    return 0
