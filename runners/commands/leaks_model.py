"""The model of ``flagbench leaks --model``, and its flags. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from flagbench import BadInput
from flagbench.flags import real
from flagbench.runners.arguments import add_store_option, positive

if TYPE_CHECKING:
    from flagbench.models.contract import Encoder
    from flagbench.models.loading.resolve import Model
    from flagbench.runners.encoding.encode import TextEncoder
    from flagbench.runners.progress import Progress
    from flagbench.runners.request import RunRequest

COSINE = 0.95
"""Default of ``--cosine``."""


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the model to a parser."""
    group = parser.add_argument_group("texts that mean the same")
    group.add_argument("--model", metavar="MODEL", help="embedder whose neighbours are looked at too (default none)")
    group.add_argument("--revision", metavar="COMMIT", help="commit of the model on the hub (default the pinned one)")
    group.add_argument(
        "--cosine",
        type=_cosine,
        metavar="X",
        help=f"cosine of texts that mean the same, at least, which depends on the model (default {COSINE})",
    )
    group.add_argument("--device", metavar="NAME", help="device to run on: auto, cpu, cuda, cuda:N, mps (default auto)")
    group.add_argument("--batch-size", type=positive, metavar="N", help="texts per forward pass (default: by tokens)")
    store = group.add_mutually_exclusive_group()
    add_store_option(store)
    store.add_argument("--no-store", action="store_true", help="run without the embedding cache (default off)")


def check_model_flags(options: argparse.Namespace) -> None:
    """See that nothing is said of a model where there is none.

    Raises:
        BadInput: Something is.
    """
    given = {
        "--revision": options.revision,
        "--cosine": options.cosine,
        "--device": options.device,
        "--batch-size": options.batch_size,
        "--store": options.store,
        "--no-store": options.no_store,
    }
    if not options.model and (flag := next((flag for flag, value in given.items() if value), "")):
        raise BadInput(f"{flag} is for the embedder of --model: name one, or drop it")


@contextmanager
def encoder_of(options: argparse.Namespace, progress: Progress) -> Iterator[TextEncoder | None]:
    """The embedder asked for, which is loaded when the cache lacks something of it; None where there is none.

    Args:
        options: Of the command line.
        progress: The progress to report to.

    Raises:
        BadInput: There is no such model, or it gives no vectors.
    """
    if not options.model:
        yield None
        return
    from flagbench.models.device import joint_device
    from flagbench.models.loading.deferred import Deferred
    from flagbench.models.loading.resolve import LoadedModels
    from flagbench.runners.encoding.cache import EmbeddingCache
    from flagbench.runners.encoding.encode import TextEncoder
    from flagbench.runners.request import RunRequest, default_store
    from flagbench.runners.run.devices import RequestedDevice
    from flagbench.runners.store.store import Store

    request = RunRequest(
        model=options.model,
        benchmark=options.benchmark,
        revision=options.revision,
        device=options.device or RunRequest.device,
        batch_size=options.batch_size,
        store=None if options.no_store else options.store or default_store(),
    )
    device = RequestedDevice(request)
    model = _model(request, device.is_cpu)
    store = Store(request.store, cap_bytes=request.store_bytes, warn=progress.line) if request.store else None
    try:
        with LoadedModels() as loaded:

            def load() -> Encoder:
                progress.stage(f"loading {model.spec.name}", 1)
                made = loaded.take(
                    model,
                    lambda: model.load(
                        device=device.names[0],
                        batch_size=request.batch_size,
                        trust_remote_code=False,
                        allow_pickle=False,
                        backend=None,
                    ),
                )
                return cast("Encoder", made)

            deferred = cast("Encoder", Deferred(model.spec, joint_device(device.names), load))
            yield TextEncoder(deferred, progress, EmbeddingCache(store) if store else None)
    finally:
        if store:
            store.close()


def _model(request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
    from flagbench.runners.text_model import text_model

    model = text_model(request, on_cpu)
    if model.spec.ability != "encode" or "dense" not in model.spec.parts:
        raise BadInput(f"{model.spec.name} gives no dense vectors, by which neighbours are found: name an embedder")
    return model


def _cosine(text: str) -> float:
    try:
        value = real(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a cosine from 0 to 1, such as {COSINE}, not '{text:.40}'")
    return value
