"""A request to evaluate, as one frozen value, with the defaults of its flags."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from flagbench import BadInput
from flagbench.files import at_home
from flagbench.files import cache_folder as cache_folder
from flagbench.models.contract import Backend
from flagbench.models.loading.overrides import Overrides

if TYPE_CHECKING:
    from flagbench.runners.rankings.model import RankingsSource
    from flagbench.runners.served import ServedOptions

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?(?:([KMGTP])(I?))?B", re.IGNORECASE)


Options = TypeVar("Options")

Engine = Literal["local", "ray"]

ENGINES: tuple[Engine, ...] = get_args(Engine)


Profile = Literal["smoke", "quick", "full"]

PROFILES: tuple[Profile, ...] = get_args(Profile)


@dataclass(frozen=True)
class RunRequest:
    """One evaluation, as asked for on the command line.

    Attributes:
        model: Folder or hub id; empty for rankings alone.
        benchmark: Name of a benchmark (``runners/registry.py``).
        tasks: Task names; empty for all.
        types: Task types (``STS``, ``Retrieval``); empty for all.
        options: The benchmark's own options, of the dataclass that it states; None for their defaults.
        profile: How much of each task's data: all of it, or a sample.
        mini: Use the miniature data that ships with the package.
        data: Folder with snapshots ``<org>/<repo>/``; None for the hub.
        output: Folder of results.
        revision: Commit of the model on the hub.
        device: ``auto`` or a torch device.
        devices: Several, as ``cuda:0,cuda:1`` or ``cpu:2``, with a worker each; None for ``device`` alone.
        batch_size: Texts of one forward pass; None lets the adapter decide.
        engine: Whether the model runs on this machine or on the nodes of a Ray cluster.
        ray_address: Of that cluster; None starts one on this machine.
        backend: The matrix backend; None for the fastest that is exact.
        overrides: Model settings given by hand.
        reranker: Folder or hub id of a reranker for what the model retrieves; None for none.
        reranker_max_length: Tokens of its pairs; None for its own default.
        rerank_top_k: Passages re-ranked per query.
        rankings: Rankings that were made before, in the place of a search: the model, a reranker, re-ranks them, or
            where there is none they are scored as they are. None for a search by the model.
        served: The servers that run the model and the reranker; None where both run here.
        trust_remote_code: Code that a checkpoint brings may run.
        allow_pickle: Pickle weights may be read.
        overwrite: Evaluate finished tasks again.
        skip_missing: Leave out tasks whose data is not there.
        lenient: Go on where some tasks or data sets cannot be used, as ``flagbench validate`` does, which names them.
        save_predictions: Keep each task's run or pair scores.
        store: Folder where vectors and pair scores are kept between runs; nothing is kept when None.
        store_bytes: How large it may be: beyond it, what was not used for the longest time goes.
        store_fp16: Keep vectors in half precision, and score with what is kept.
    """

    model: str
    benchmark: str
    tasks: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    options: Any = None
    profile: Profile = "full"
    mini: bool = False
    data: Path | None = None
    output: Path = Path("flagbench-results")
    revision: str | None = None
    device: str = "auto"
    devices: str | None = None
    engine: Engine = "local"
    ray_address: str | None = None
    batch_size: int | None = None
    backend: Backend | None = None
    overrides: Overrides = field(default_factory=Overrides)
    reranker: str | None = None
    reranker_max_length: int | None = None
    rerank_top_k: int = 100
    rankings: RankingsSource | None = None
    served: ServedOptions | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    overwrite: bool = False
    skip_missing: bool = False
    lenient: bool = False
    save_predictions: bool = False
    store: Path | None = None
    store_bytes: int = 100_000_000_000
    store_fp16: bool = False


def options_of(request: RunRequest, owner: type[Options]) -> Options:
    """The benchmark's own options of a request; their defaults where it has none.

    Args:
        request: What was asked for.
        owner: The dataclass of the benchmark's options.

    Raises:
        BadInput: The options are another benchmark's.
    """
    if request.options is None:
        return owner()
    if not isinstance(request.options, owner):
        given = type(request.options).__name__
        raise BadInput(f"{given} are not the options of --benchmark {request.benchmark}: use {owner.__name__}")
    return request.options


def default_store(environment: Mapping[str, str] = os.environ) -> Path:
    """Default folder of the embedding cache: ``$FLAGBENCH_STORE``, else a folder of the user's cache.

    Raises:
        BadInput: There is no home to have a cache in.
    """
    named = environment.get("FLAGBENCH_STORE")
    return at_home(Path(named)) if named else cache_folder(environment) / "store"


def parse_size(text: str) -> int:
    """Bytes of a size such as ``50GB`` (50,000,000,000) or ``1.5 TiB``.

    Raises:
        ValueError: It is none, or less than a byte.
    """
    match = _SIZE.fullmatch(text.strip())
    number, prefix, binary = match.groups() if match else ("0", None, None)
    size = int(Decimal(number) * (1024 if binary else 1000) ** " KMGTP".index((prefix or " ").upper()))
    if not size:
        raise ValueError(f"expected a size such as 50GB, 500MB or 1.5TiB, not '{text}'")
    return size
