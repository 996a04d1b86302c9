"""From what a user typed to a language model of texts: a checkpoint, an adapter, a GGUF, or a model on a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published_as
from flagbench.models.loading.resolve import Model
from flagbench.models.text import TextSettings

if TYPE_CHECKING:
    from flagbench.models.servers.text_model import Server


def resolve_text_generator(
    model: str,
    revision: str | None,
    overrides: Overrides,
    *,
    server: Server | None = None,
    trust_remote_code: bool,
    allow_pickle: bool,
    on_cpu: Callable[[], bool] = lambda: False,
) -> Model:
    """Find a language model of texts and work out its settings; no weights are read, and no server is asked.

    Args:
        model: Folder, GGUF, hub id, mixture, or the name of a model behind a server.
        revision: Commit on the hub; None for the pinned one, else ``main``. Of a server what the user says.
        overrides: What the user says of it, the flags of ``models/text.py`` among it.
        server: Runs the model; None for a model of one's own.
        trust_remote_code: Code that the checkpoint brings may run.
        allow_pickle: Pickles may be read.
        on_cpu: Says whether it will run on the processor; asked only where that matters.

    Raises:
        BadInput: There is no such model, it writes no texts, or its files or flags contradict one another.
    """
    if server is not None:
        from flagbench.models.servers.text_model import server_model

        return server_model(model, revision, server, overrides, trust_remote_code=trust_remote_code)
    row = published_as(model)
    own = row.own if row is not None else None
    if row is not None and not isinstance(own, TextSettings):
        does = "answers by letters" if row.ability == "generate" else "is no language model that writes texts"
        raise BadInput(f"{model} {does}: take a causal language model, or name a server with --api-base")
    # Here, as they take transformers, which no other model needs before it is loaded.
    from flagbench.models.loading.checkpoint import Checkpoint
    from flagbench.models.loading.gguf import gguf_of, locate_gguf
    from flagbench.models.loading.mixture import find_checkpoint
    from flagbench.models.loading.mixture_terms import is_mixture
    from flagbench.models.loading.text_kinds import detect_text_lm
    from flagbench.models.loading.tokenizer_file import with_tokenizer

    file: Path | None = None if is_mixture(model) else gguf_of(model)
    if file is not None:
        if overrides.adapters:
            raise BadInput(f"--adapter is merged into weights of full precision, and {file} is quantised: drop it")
        checkpoint: Checkpoint = locate_gguf(file, revision)
    else:
        checkpoint = find_checkpoint(model, revision, overrides, allow_pickle=allow_pickle)
    found = detect_text_lm(checkpoint, row, overrides, trust_remote_code=trust_remote_code, on_cpu=on_cpu)
    if file is not None:
        return Model(found.spec, found.evidence, checkpoint)
    spec, evidence = with_tokenizer(found.spec, checkpoint)
    return Model(spec, (*found.evidence, *evidence), checkpoint)
