"""What the user asked for, as one frozen value, and what its flags mean where they are not given."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

from flagbench import BadInput
from flagbench.models.contract import Backend
from flagbench.models.loading.overrides import Overrides
from flagbench.models.video import AnswerBy, Decoder, PromptVariant, Sampler

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?(?:([KMGTP])(I?))?B", re.IGNORECASE)


Engine = Literal["local", "ray"]

ENGINES: tuple[Engine, ...] = get_args(Engine)


FramesAs = Literal["image_url", "video_url"]
QuestionSet = Literal["as-released", "cleaned"]

Profile = Literal["smoke", "quick", "full"]

PROFILES: tuple[Profile, ...] = get_args(Profile)
FRAMES_AS: tuple[FramesAs, ...] = get_args(FramesAs)
QUESTION_SETS: tuple[QuestionSet, ...] = get_args(QuestionSet)


@dataclass(frozen=True)
class VideoRequest:
    """What is asked of a benchmark of videos (MLVU).

    Attributes:
        frames: Frames of a video; None for the default.
        sampler: Which frames.
        fps: Frames a second of the sampler ``fps``; None for one.
        max_pixels: Pixels of a frame at most; None for as they are.
        decoder: Library that decodes videos.
        prompt_variant: Of the official texts; None for the official one where the model can take it.
        answer: By a generated text, or by the likeliest option.
        max_new_tokens: Tokens of an answer at most; None for the task's own default.
        blind: The model sees no frames.
        questions: As they were released, or without those that cannot be answered.
        allow_missing: Questions whose video is missing are left out, and the scores marked partial.
        api_base: Address of an OpenAI-compatible server that runs the model; None for a model of one's own.
        frames_as: How the server gets frames: each as an image, or all as one video.
        api_extra: More fields of every request, as JSON text; empty for none.
        concurrency: Questions that the server is asked at once.
        requests_a_minute: That the server gets at most; None for any number.
    """

    frames: int | None = None
    sampler: Sampler = "mlvu"
    fps: float | None = None
    max_pixels: int | None = None
    decoder: Decoder = "pyav"
    prompt_variant: PromptVariant | None = None
    answer: AnswerBy = "generate"
    max_new_tokens: int | None = None
    blind: bool = False
    questions: QuestionSet = "as-released"
    allow_missing: bool = False
    api_base: str | None = None
    frames_as: FramesAs = "image_url"
    api_extra: str = ""
    concurrency: int = 4
    requests_a_minute: int | None = None


@dataclass(frozen=True)
class RunRequest:
    """One evaluation, as asked for on the command line.

    Attributes:
        model: Folder or hub id.
        benchmark: Name of a benchmark (``runners/benchmark.py``).
        tasks: Task names; empty for all of the group.
        types: Task types (``STS``, ``Retrieval``); empty for all.
        group: Task group; None for the benchmark's own default.
        subsets: Language subsets of multilingual tasks; empty for the registry's.
        versions: Versions of AIR-Bench; empty for the latest. Here and below, of AIR-Bench only.
        domains: Domains; empty for all.
        languages: Languages; empty for all.
        datasets: Names of datasets; empty for all.
        splits: ``dev``, ``test``; empty for both.
        sets: Of MLVU, ``dev`` or ``test``; empty for dev.
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
        backend: What multiplies the model's matrices; None for the fastest that is exact.
        overrides: Model settings given by hand.
        reranker: Folder or hub id of a reranker for what the model retrieves; None for none.
        reranker_max_length: Tokens of its pairs; None for its own default.
        rerank_top_k: Passages that it sees of each query.
        trust_remote_code: Code that a checkpoint brings may run.
        allow_pickle: Pickle weights may be read.
        overwrite: Evaluate finished tasks again.
        save_predictions: Keep each task's run or pair scores.
        store: Folder where vectors and pair scores are kept between runs; None to keep none.
        store_bytes: How large it may be: beyond it, what was not used for the longest time goes.
        store_fp16: Keep vectors in half precision, and score with what is kept.
        video: What is asked of a benchmark of videos.
    """

    model: str
    benchmark: str
    tasks: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    group: str | None = None
    subsets: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
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
    trust_remote_code: bool = False
    allow_pickle: bool = False
    overwrite: bool = False
    save_predictions: bool = False
    store: Path | None = None
    store_bytes: int = 100_000_000_000
    store_fp16: bool = False
    video: VideoRequest = field(default_factory=VideoRequest)


# Flags that choose tasks of one benchmark only, by the field that holds them.
_FLAGS_OF = {
    "group": ("--group", "cmteb"),
    "subsets": ("--subsets", "mteb"),
    "versions": ("--benchmark-version", "air-bench"),
    "domains": ("--domains", "air-bench"),
    "languages": ("--languages", "air-bench"),
    "datasets": ("--datasets", "air-bench"),
    "splits": ("--splits", "air-bench"),
    "sets": ("--sets", "mlvu"),
}


_DRAWN_FROM = ("cmteb", "mteb")


def refuse_flags_of_others(request: RunRequest) -> None:
    """See that no flag is given that another benchmark's tasks are chosen with.

    Raises:
        BadInput: One is.
    """
    for name, (flag, its) in _FLAGS_OF.items():
        if getattr(request, name) and its != request.benchmark:
            raise BadInput(f"{flag} is for --benchmark {its}: drop it, or choose that benchmark")
    if request.profile != "full" and request.benchmark not in _DRAWN_FROM:
        names = " or ".join(_DRAWN_FROM)
        raise BadInput(f"--profile {request.profile} is for --benchmark {names}: drop it, or choose one of these")
    if request.benchmark != "mlvu":
        asked, plain = request.video, VideoRequest()
        for each in fields(VideoRequest):
            if getattr(asked, each.name) != getattr(plain, each.name):
                flag = f"--{each.name.replace('_', '-')}"
                raise BadInput(f"{flag} is for --benchmark mlvu: drop it, or choose that benchmark")


def default_store(environment: Mapping[str, str] = os.environ) -> Path:
    """Where vectors are kept when nobody says: ``$FLAGBENCH_STORE``, else a folder of the user's cache.

    Raises:
        BadInput: There is no home to have a cache in.
    """
    named, cache = environment.get("FLAGBENCH_STORE"), environment.get("XDG_CACHE_HOME", "")
    # Its specification has a relative XDG_CACHE_HOME ignored.
    folder = (
        Path(named) if named else (Path(cache) if Path(cache).is_absolute() else Path("~/.cache")) / "flagbench/store"
    )
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise BadInput(
            f"{folder}: no such home folder; say with --store where vectors are kept, or --no-store"
        ) from error


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
