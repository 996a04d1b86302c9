"""The options of the command line, and the request that they make."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.flags import add_flag, given
from flagbench.models.adapters import own_settings, owned_flags
from flagbench.models.contract import BACKENDS
from flagbench.models.loading.overrides import Overrides
from flagbench.models.spec import DTYPES, POOLINGS
from flagbench.models.video import ANSWERS_BY, DECODERS, PROMPT_VARIANTS, SAMPLERS
from flagbench.runners.arguments import add_store_option, names, positive, rate, size
from flagbench.runners.benchmark import BENCHMARKS
from flagbench.runners.request import (
    ENGINES,
    FRAMES_AS,
    PROFILES,
    QUESTION_SETS,
    RunRequest,
    VideoRequest,
    default_store,
)


def add_run_options(command: argparse.ArgumentParser) -> None:
    """What ``evaluate`` and ``validate`` take."""
    command.add_argument("models", nargs="+", metavar="MODEL", help="folder of a checkpoint, or hub id org/name")
    what = add_selection_options(command)
    what.add_argument(
        "--profile", choices=PROFILES, default=RunRequest.profile, help="cmteb, mteb: score a sample (default full)"
    )
    what.add_argument("--mini", action="store_true", help="the miniature data that ships with FlagBench")
    what.add_argument("--overwrite", action="store_true", help="evaluate finished tasks again")
    what.add_argument("--reranker", metavar="MODEL", help="re-rank what the model retrieves (retrieval tasks)")
    what.add_argument("--reranker-max-length", type=positive, metavar="N", help="tokens of a pair (default 512)")
    what.add_argument("--rerank-top-k", type=positive, default=RunRequest.rerank_top_k, metavar="N", help="of a query")
    where = command.add_argument_group("where")
    where.add_argument("--data", type=Path, metavar="DIR", help="local snapshots DIR/<org>/<repo>/ instead of the hub")
    where.add_argument("--output", type=Path, default=RunRequest.output, metavar="DIR", help="results folder")
    where.add_argument("--save-predictions", action="store_true", help="keep runs and pair scores (may be large)")
    choice = where.add_mutually_exclusive_group()
    add_store_option(choice)
    choice.add_argument("--no-store", action="store_true", help="keep no vectors")
    where.add_argument("--store-size", type=size, metavar="SIZE", help="of the store, at most (default 100GB)")
    where.add_argument("--store-fp16", action="store_true", help="keep half precision, which moves scores slightly")
    device = where.add_mutually_exclusive_group()
    device.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:N, mps")
    device.add_argument("--devices", metavar="A,B", help="a worker on each: cuda:0,cuda:1 or cpu:2")
    where.add_argument("--engine", choices=ENGINES, default="local", help="ray: run the model on a Ray cluster")
    where.add_argument("--ray-address", metavar="HOST:PORT", help="of a running cluster (default: one on this machine)")
    where.add_argument("--batch-size", type=positive, metavar="N", help="texts a forward pass (default: by tokens)")
    where.add_argument("--backend", choices=BACKENDS, help="what multiplies matrices (default: the fastest exact one)")
    add_model_options(command)
    _add_video_options(command)


def _add_video_options(command: argparse.ArgumentParser) -> None:
    video = command.add_argument_group("MLVU")
    plain = VideoRequest()
    video.add_argument("--frames", type=positive, metavar="N", help="of a video (default 16; 64 with --sampler fps)")
    video.add_argument("--sampler", choices=SAMPLERS, default=plain.sampler, help="which frames (default: MLVU's own)")
    video.add_argument("--fps", type=rate, metavar="F", help="frames a second with --sampler fps (default 1)")
    video.add_argument("--max-pixels", type=positive, metavar="N", help="of a frame; larger ones are scaled down")
    video.add_argument("--decoder", choices=DECODERS, default=plain.decoder, help="default pyav; torchcodec for GPUs")
    video.add_argument("--prompt-variant", choices=PROMPT_VARIANTS, help="default: official")
    video.add_argument("--answer", choices=ANSWERS_BY, default=plain.answer, help="by a text, or the likeliest option")
    video.add_argument("--max-new-tokens", type=positive, metavar="N", help="of an answer")
    video.add_argument("--blind", action="store_true", help="the model sees no frames: a baseline")
    video.add_argument("--questions", choices=QUESTION_SETS, default=plain.questions, help="default as-released")
    video.add_argument("--allow-missing", action="store_true", help="leave out missing videos; scores are partial")
    video.add_argument("--api-base", metavar="URL", help="MODEL runs on this OpenAI-compatible server")
    video.add_argument(
        "--frames-as", choices=FRAMES_AS, default=plain.frames_as, help="how frames are sent to it (default image_url)"
    )
    video.add_argument("--api-extra", default="", metavar="JSON", help="more fields of every request")
    video.add_argument("--concurrency", type=positive, default=plain.concurrency, metavar="N", help="questions at once")
    video.add_argument("--requests-a-minute", type=positive, metavar="N", help="at most")


def _video(options: argparse.Namespace) -> VideoRequest:
    return VideoRequest(
        frames=options.frames,
        sampler=options.sampler,
        fps=options.fps,
        max_pixels=options.max_pixels,
        decoder=options.decoder,
        prompt_variant=options.prompt_variant,
        answer=options.answer,
        max_new_tokens=options.max_new_tokens,
        blind=options.blind,
        questions=options.questions,
        allow_missing=options.allow_missing,
        api_base=options.api_base,
        frames_as=options.frames_as,
        api_extra=options.api_extra,
        concurrency=options.concurrency,
        requests_a_minute=options.requests_a_minute,
    )


def add_selection_options(command: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which benchmark, and which of its tasks."""
    what = command.add_argument_group("what to run")
    what.add_argument("--benchmark", default="cmteb", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    what.add_argument("--tasks", type=names, default=(), metavar="A,B", help="only these tasks")
    what.add_argument("--types", type=names, default=(), metavar="A,B", help="only these types (sts,retrieval,…; qa)")
    what.add_argument(
        "--group", metavar="NAME", help="cmteb: core (default), multilingual, crosslingual, clustering-v2"
    )
    what.add_argument("--subsets", type=names, default=(), metavar="A,B", help="mteb: language subsets")
    what.add_argument(
        "--benchmark-version", type=names, default=(), metavar="A,B", help="air-bench: 24.05 (default), 24.04"
    )
    for flag, wanted in (
        ("--domains", "domains (wiki,law,…)"),
        ("--languages", "languages (zh,en,…)"),
        ("--datasets", "datasets, by name"),
        ("--splits", "splits: dev, test"),
    ):
        what.add_argument(flag, type=names, default=(), metavar="A,B", help=f"air-bench: only these {wanted}")
    what.add_argument("--sets", type=names, default=(), metavar="A,B", help="mlvu: dev (default), test")
    return what


def selection_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that choose tasks."""
    return {
        "benchmark": options.benchmark,
        "tasks": options.tasks,
        "types": options.types,
        "group": options.group,
        "subsets": options.subsets,
        "versions": options.benchmark_version,
        "domains": options.domains,
        "languages": options.languages,
        "datasets": options.datasets,
        "splits": options.splits,
        "sets": options.sets,
    }


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Settings of the model."""
    model = command.add_argument_group("model settings (default: as published, or as the checkpoint's files say)")
    model.add_argument("--revision", metavar="COMMIT", help="of a model on the hub")
    model.add_argument("--name", metavar="ORG/NAME", help="name of the results folder of a local checkpoint")
    model.add_argument(
        "--family", metavar="NAME", help="settings of a family of models.toml, as flagbench models lists"
    )
    model.add_argument("--pooling", choices=POOLINGS)
    model.add_argument("--normalize", action=argparse.BooleanOptionalAction, default=None, help="L2-normalise vectors")
    model.add_argument("--max-length", type=positive, metavar="N", help="tokens kept of each text")
    model.add_argument("--query-instruction", metavar="TEXT", help="before queries of retrieval and reranking tasks")
    model.add_argument("--passage-instruction", metavar="TEXT", help="before passages of those tasks")
    model.add_argument("--lowercase", action=argparse.BooleanOptionalAction, default=None, help="lower-case texts")
    model.add_argument("--dtype", choices=DTYPES, help="default: the family's; fp32 on the processor")
    model.add_argument(
        "--adapter", action="append", default=[], metavar="DIR", help="merge a PEFT adapter (may repeat)"
    )
    model.add_argument("--trust-remote-code", action="store_true", help="let code that the checkpoint brings run")
    model.add_argument("--allow-pickle", action="store_true", help="read *.bin and *.pt files, which can run code")
    for kind, flags in owned_flags().items():
        group = command.add_argument_group(kind.title)
        for each in flags:
            add_flag(group, each)


def overrides_of(options: argparse.Namespace) -> Overrides:
    """The model settings given.

    Raises:
        BadInput: They contradict one another.
    """
    if len(options.models) > 1 and (options.name or options.revision):
        raise BadInput("--name and --revision belong to one model, and several were given")
    if options.name and options.name.count("/") != 1:
        raise BadInput(f"--name {options.name}: expected the form org/name")
    return Overrides(
        pooling=options.pooling,
        normalize=options.normalize,
        max_length=options.max_length,
        query_instruction=options.query_instruction,
        passage_instruction=options.passage_instruction,
        lowercase=options.lowercase,
        dtype=options.dtype,
        family=options.family,
        name=options.name,
        own={name: value for kind in own_settings() for name, value in given(options, kind).items()},
        adapters=tuple(options.adapter),
    )


def requests_of(options: argparse.Namespace) -> list[RunRequest]:
    """A request for each model and cutoff layer.

    Raises:
        BadInput: Options contradict one another.
    """
    overrides = overrides_of(options)
    if options.no_store and options.store_size:
        raise BadInput("--store-size is about vectors that are kept, and --no-store keeps none: drop one of them")
    store = None if options.no_store else options.store or default_store()
    return [
        RunRequest(
            model=model,
            **selection_of(options),
            profile=options.profile,
            mini=options.mini,
            data=options.data,
            output=options.output,
            revision=options.revision,
            device=options.device,
            devices=options.devices,
            engine=options.engine,
            ray_address=options.ray_address,
            batch_size=options.batch_size,
            backend=options.backend,
            overrides=replace(overrides, cutoff=cutoff),
            reranker=options.reranker,
            reranker_max_length=options.reranker_max_length,
            rerank_top_k=options.rerank_top_k,
            trust_remote_code=options.trust_remote_code,
            allow_pickle=options.allow_pickle,
            overwrite=options.overwrite,
            save_predictions=options.save_predictions,
            store=store,
            store_bytes=options.store_size or RunRequest.store_bytes,
            store_fp16=options.store_fp16,
            video=_video(options),
        )
        for model in options.models
        for cutoff in range(overrides.results)
    ]
