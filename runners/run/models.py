"""The models of a request: found, and refused where a task cannot take them, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from flagbench import BadInput, first_few
from flagbench.models.adapters import modalities
from flagbench.models.loading.overrides import of_reranker
from flagbench.models.loading.resolve import Model, resolve_model
from flagbench.models.spec import Ability
from flagbench.results.kinds import RANKED, RERANKED, SEARCHED
from flagbench.runners.benchmark import Benchmark
from flagbench.runners.registry import benchmarks_that
from flagbench.runners.request import RunRequest
from flagbench.runners.run.devices import RequestedDevice
from flagbench.runners.task import Task, check_modalities

_DOES: Mapping[Ability, str] = {
    "encode": "gives vectors",
    "score": "scores pairs",
    "search": "searches without vectors",
    "generate": "answers questions",
    "replay": "has rankings that were made before",
}


def models_of(
    request: RunRequest, benchmark: Benchmark, tasks: tuple[Task, ...], device: RequestedDevice
) -> tuple[Model, Model | None]:
    """The model under evaluation, and the reranker behind it: None for none.

    Args:
        request: What was asked for.
        benchmark: Which takes only some kinds of models.
        tasks: Which take only some of these.
        device: Where it is to run.

    Raises:
        BadInput: There is no such model, it is of a kind that a task cannot take, or flags contradict one another.
    """
    if request.served:
        _check_served(request)
    if request.rankings is None:
        model = benchmark.model(request, device.is_cpu)
        _check_one_place(request, model)
        _check_ability(model, benchmark, tasks)
        _check_modalities(model, tasks)
        _check_vectors(request, model)
        return model, _reranker(request, model, tasks, device) if request.reranker else None
    if request.reranker:
        raise BadInput("--candidates are re-ranked by MODEL: drop --reranker, or drop --candidates")
    if request.profile != "full":
        raise BadInput(f"rankings are of all queries, and --profile {request.profile} draws some: drop it")
    _check_kinds(benchmark, tasks, request.model)
    ranked = request.rankings.resolve(tasks)
    _check_vectors(request, ranked)
    return ranked, _of_candidates(request, tasks, device) if request.model else None


def _check_served(request: RunRequest) -> None:
    """Refuse what is said of servers that there are none of, and what cannot run beside one."""
    assert request.served is not None
    request.served.check(request.reranker)
    if request.served.api_base and request.revision:
        raise BadInput("--revision is a commit of the hub: say with --api-revision which one the server of MODEL has")
    if (request.served.api_base or request.served.reranker_api_base) and request.engine == "ray":
        raise BadInput("--engine ray runs a model on a cluster, and a server runs it already: drop one of them")


def _check_kinds(benchmark: Benchmark, tasks: Sequence[Task], reranker: str) -> None:
    """Refuse tasks that rankings are not of, before the rankings are read."""
    if "replay" not in benchmark.abilities:
        names = benchmarks_that(lambda other: "replay" in other.abilities)
        raise BadInput(f"{benchmark.title} ranks no passages, so that it takes no rankings: use --benchmark {names}")
    kinds = SEARCHED if reranker else RANKED
    if others := [task for task in tasks if task.kind not in kinds]:
        what = "--candidates are of retrieval tasks" if reranker else "a run file is of retrieval or reranking tasks"
        raise BadInput(f"{what}, and {_names(others)} {_verb(others, 'is', 'are')} none: choose others with --tasks")


def _of_candidates(request: RunRequest, tasks: tuple[Task, ...], device: RequestedDevice) -> Model:
    """The model under evaluation as the reranker of given candidates."""
    overrides = request.overrides
    if request.reranker_max_length:
        overrides = replace(overrides, max_length=request.reranker_max_length)
    if request.served and request.served.api_base:
        model: Model = request.served.model(request.model, overrides, as_reranker=True)
    else:
        model = resolve_model(
            request.model,
            request.revision,
            overrides,
            trust_remote_code=request.trust_remote_code,
            allow_pickle=request.allow_pickle,
            as_reranker=True,
            on_cpu=device.is_cpu,
        )
    if model.spec.ability != "score":
        does = f"{model.spec.name} {_DOES[model.spec.ability]}"
        raise BadInput(f"{does}, and --candidates are re-ranked by a reranker: name one as MODEL, or drop --candidates")
    _check_modalities(model, tasks)
    return model


def _check_ability(model: Model, benchmark: Benchmark, tasks: tuple[Task, ...]) -> None:
    ability = model.spec.ability
    if ability not in benchmark.abilities:
        names = benchmarks_that(lambda other: ability in other.abilities)
        does = f"{model.spec.name} {_DOES[ability]}, which {benchmark.title} has no use for"
        raise BadInput(f"{does}: use --benchmark {names}")
    if ability == "generate":
        return
    if ability == "encode":
        others = tuple(task for task in tasks if task.kind not in RANKED)
        if model.spec.query_mix is not None and others:
            does = f"--query-mix mixes queries, and {_names(others)} {_verb(others, 'has', 'have')} none"
            raise BadInput(f"{does}: {_choice('retrieval,reranking', tasks, others, 'drop --query-mix')}")
        retrieval = model.spec.ranking.retrieval
        if retrieval != "dense" and others:
            does = f"--retrieval {retrieval} ranks passages, and {_names(others)} {_verb(others, 'ranks', 'rank')} none"
            raise BadInput(f"{does}: {_choice('retrieval,reranking', tasks, others, 'drop --retrieval')}")
        return
    if ability == "search":
        does, types = "searches", "retrieval,reranking"
        others = tuple(task for task in tasks if task.kind not in RANKED)
    else:
        does, types = "is a reranker", "reranking"
        others = tuple(task for task in tasks if task.kind not in RERANKED)
    if others:
        lacks = f"{does} and gives no vectors, which {_names(others)} {_verb(others, 'needs', 'need')}"
        raise BadInput(f"{model.spec.name} {lacks}: {_choice(types, tasks, others, 'leave this model out')}")


def _choice(types: str, tasks: Sequence[Task], others: Sequence[Task], instead: str) -> str:
    """The fix where a model cannot do some tasks.

    Args:
        types: Of the tasks that it can do.
        tasks: All that are chosen.
        others: Those of them that it cannot do.
        instead: The fix beside other tasks, where none of these would be left.
    """
    return f"use --types {types}" if len(others) < len(tasks) else f"choose tasks of --types {types}, or {instead}"


def _check_modalities(model: Model, tasks: tuple[Task, ...]) -> None:
    """Refuse tasks whose inputs the model cannot read. What is asked of a model that answers is no input of it."""
    if model.spec.ability != "generate":
        check_modalities(tasks, model.spec.name, modalities(model.spec.adapter))


def _check_one_place(request: RunRequest, model: Model) -> None:
    """Refuse several workers for a model that answers prompts: it goes on from what it read for the one before."""
    if model.spec.ability != "generate":
        return
    flag = "--engine ray" if request.engine == "ray" else f"--devices {request.devices}" if request.devices else ""
    if flag:
        raise BadInput(
            f"{flag}: {model.spec.name} answers questions in one process, and only texts and pairs are shared out "
            "among workers: use --device, or run it on a server (--api-base), which may have several devices"
        )


def _check_vectors(request: RunRequest, model: Model) -> None:
    """Refuse what is about how vectors are made and kept, where there are none."""
    if request.engine == "ray" and model.spec.ability in ("search", "replay"):
        raise BadInput(f"--engine ray: {model.spec.name} searches on this machine; drop it")
    if request.store_fp16 and model.spec.ability != "encode":  # scores of pairs are kept as they are
        raise BadInput(f"--store-fp16 is the format of cached vectors, and {model.spec.name} gives none: drop it")


def _reranker(request: RunRequest, model: Model, tasks: tuple[Task, ...], device: RequestedDevice) -> Model:
    """The reranker asked for, with the flags that are a reranker's."""
    overrides = of_reranker(request.overrides, request.reranker_max_length)
    if request.served and request.served.reranker_api_base:
        reranker: Model = request.served.reranker(str(request.reranker), overrides)
    else:
        reranker = resolve_model(
            str(request.reranker),
            None,
            overrides,
            trust_remote_code=request.trust_remote_code,
            allow_pickle=request.allow_pickle,
            as_reranker=True,
            on_cpu=device.is_cpu,
        )
    if reranker.spec.ability != "score":
        kind = "an embedding model" if reranker.spec.ability == "encode" else "a search without a model"
        raise BadInput(f"--reranker {request.reranker}: {kind}, not a reranker; name it as MODEL")
    if model.spec.ability == "score":
        raise BadInput(f"{model.spec.name} is a reranker itself: --reranker needs an embedding model as MODEL")
    _check_modalities(reranker, tasks)
    if others := tuple(task for task in tasks if task.kind not in SEARCHED):
        does = f"{_names(others)} {_verb(others, 'does', 'do')} not retrieve"
        raise BadInput(
            f"--reranker re-ranks retrieval, and {does}: {_choice('retrieval', tasks, others, 'drop --reranker')}"
        )
    return reranker


def _verb(tasks: Sequence[Task], one: str, several: str) -> str:
    """A verb that goes with the names of tasks."""
    return one if len(tasks) == 1 else several


def _names(tasks: Iterable[Task]) -> str:
    return first_few(task.name for task in tasks)
