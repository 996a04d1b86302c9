"""A team's own data as a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from flagbench import BadData, BadInput
from flagbench.models.contract import Role
from flagbench.results.kinds import RANKED
from flagbench.runners.benchmark import Benchmark, DataVerdict, Listing, Loaded, Volume
from flagbench.runners.data.fault_list import first_faults
from flagbench.runners.mteb.benchmark import ThroughMteb, drawable
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.search.metrics import Metric
from flagbench.runners.task import Task, pick
from flagbench.suites.own.columns import IMAGES
from flagbench.suites.own.layouts import DataSet, find, refuse
from flagbench.suites.own.options import OwnOptions
from flagbench.suites.own.task_file import NAME, read_task_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flagbench.models.loading.resolve import Model
    from flagbench.models.spec import ModelSpec
    from flagbench.runners.data.snapshots import Snapshots
    from flagbench.runners.data.sources import Source

_GROUP = "own"
_MAIN_SCORES: Mapping[str, str] = {
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "STS": "cosine_spearman",
    "PairClassification": "max_ap",
    "Classification": "accuracy",
    "Clustering": "v_measure",
}
"""mteb's main scores of its Chinese tasks by type."""

_METRICS: Mapping[str, Sequence[str]] = {
    "STS": ("cosine_spearman", "cosine_pearson", "spearman", "pearson"),
    "PairClassification": ("max_ap", "cosine_ap", "max_accuracy", "max_f1"),
    "Classification": ("accuracy", "f1", "ap"),
    "Clustering": ("v_measure",),
}
"""Other scores of mteb that may be the main one; of retrieval and reranking any at a cutoff."""

_CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
"""mteb's, of retrieval (``AbsTaskRetrieval.k_values``)."""

_INPUTS = frozenset(
    [("corpus", "text"), ("queries", "text")]
    + [("rows", what) for what in ("text", "sentence1", "sentence2", "sentences", "query", "positives", "negatives")]
)
"""What columns hold that are inputs of the model, by what their files hold; a passage, its title and its image are one.
"""


class _Own(ThroughMteb):
    """Data sets of the user, recognised by their files; each is a task."""

    name = "own"
    title = "own data"
    options = OwnOptions
    examples = (
        "flagbench evaluate BAAI/bge-m3 --benchmark own --data-set ./faq",
        "flagbench evaluate ./checkpoint-2000 --benchmark own --data-set ./sets --reranker BAAI/bge-reranker-v2-m3",
        "flagbench evaluate bm25 --benchmark own --data-set ./faq",
    )

    def tasks(self) -> tuple[Task, ...]:
        """See Benchmark: which there are, a folder says."""
        return ()

    def select(self, request: RunRequest) -> tuple[Task, ...]:
        """See Benchmark."""
        found = tuple(map(_task, _data_sets(request)))
        if not found:  # of a lenient request
            return ()
        chosen = pick(
            found, names=request.tasks, kinds=request.types, group=_GROUP, hint="these are the data sets of --data-set"
        )
        return drawable(chosen, request)

    def averages(self, request: RunRequest) -> Mapping[str, Sequence[str]]:
        """See Benchmark: the mean over several data sets."""
        if options_of(request, OwnOptions).data_set is None:  # of runs that lie there, whose folder is not known
            return {}
        names = [task.name for task in map(_task, _data_sets(request))]
        return {"Mean": names} if len(names) > 1 else {}

    def listing(self, tasks: Sequence[Task]) -> Listing:
        """See Benchmark."""
        rows = [[task.name, task.kind, ", ".join(task.splits), task.main_score] for task in tasks]
        return Listing(["task", "type", "splits", "main score"], rows)

    def settings(self, task: Task) -> Mapping[str, Any]:
        """See Benchmark: the folder's place is none of them, and what only its task.toml says is one."""
        options = read_task_file(Path(task.dataset)).options(task.kind)
        return {**super().settings(replace(task, dataset=task.name)), **({"options": options} if options else {})}

    def source(self, task: Task, snapshots: Snapshots) -> Source:
        """See Benchmark."""
        from flagbench.runners.data.sources import Folder

        return Folder(Path(task.dataset))

    def model(self, request: RunRequest, on_cpu: Callable[[], bool]) -> Model:
        """See Benchmark: with the instructions of the data sets."""
        from flagbench.runners.text_model import text_model

        model = text_model(request, on_cpu)
        ours = [
            (f"{data.name}-query" if data.kind in RANKED else data.name, data.said.instruction)
            for data in _data_sets(request)
            if data.said.instruction
        ]
        if not ours:
            return model
        prompted = replace(model.spec, prompts=(*ours, *model.spec.prompts))
        _check_instructions(_data_sets(request), model.spec, prompted)
        return replace(model, spec=prompted)

    def check(self, task: Task, snapshots: Snapshots, request: RunRequest) -> None:
        """See Benchmark: what is recognised has all its files."""

    def volume(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Volume:
        """See Benchmark: counted in the files of the data set and in those that its rows name."""
        from flagbench.runners.data.volume import bytes_beside, texts_in

        data = _data_set(task)
        texts = 0
        size: int | None = sum(file.path.stat().st_size for files in data.groups.values() for file in files)
        for holds, columns in data.columns.items():
            files = dict.fromkeys(file for split in data.splits for file in data.files(holds, split))
            either = {text: image for text, image in IMAGES.items() if text not in columns}
            names = [
                columns[either.get(what, what)]
                for where, what in _INPUTS
                if where == holds and either.get(what, what) in columns
            ]
            texts += texts_in(files, names)
            images = [name for what, name in columns.items() if what in IMAGES.values()]
            every = [file for (where, _), of_split in data.groups.items() if where == holds for file in of_split]
            beside = bytes_beside(every, images, data.folder) if images else 0
            size = None if size is None or beside is None else size + beside
        return Volume(texts, size)

    def load(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Loaded:
        """See Benchmark."""
        from flagbench.results.data_state import DataState
        from flagbench.runners.mteb.content import content_of
        from flagbench.runners.mteb.sampling import sampled
        from flagbench.suites.own.loading import made_task

        data = _data_set(task)
        content = made_task(task, data, _refuse)
        verdict = DataVerdict(DataState.OWN, (), f"folder {data.folder}", content_of(task, content))
        return sampled(Loaded(task, verdict, content, notes=()), request.profile)

    def unrecognised(self, request: RunRequest) -> Sequence[BadInput]:
        """See Benchmark."""
        errors: list[BadInput] = []
        _sound(_folder(request), errors.append)
        return errors

    def evidence(self, request: RunRequest) -> Sequence[str]:
        """See Benchmark: of the data sets that are chosen."""
        chosen = {task.name for task in self.select(request)}
        return [line for data in _data_sets(request) if data.name in chosen for line in data.evidence]

    def faults(self, task: Task, snapshots: Snapshots, request: RunRequest) -> Iterator[str]:
        """See Benchmark."""
        from flagbench.suites.own.reading import read

        return first_faults(task.name, lambda report: read(_data_set(task), report, decode=True))


OWN: Benchmark = _Own()


def _data_sets(request: RunRequest) -> tuple[DataSet, ...]:
    return _sound(_folder(request), (lambda _: None) if request.lenient else refuse)


def _folder(request: RunRequest) -> Path:
    folder = options_of(request, OwnOptions).data_set
    other = "--mini" if request.mini else "--data" if request.data else ""
    if other and folder is None:
        raise BadInput(f"--benchmark own reads --data-set DIR: give the folder with it instead of {other}")
    if other:
        raise BadInput(f"--benchmark own reads --data-set: drop {other}")
    if folder is None:
        raise BadInput("--benchmark own needs --data-set DIR, a folder with a data set or with folders of them")
    return folder


def _sound(folder: Path, report: Callable[[BadInput], None]) -> tuple[DataSet, ...]:
    """The data sets of a folder that make a task."""
    sound = []
    for data in find(folder, report):
        try:
            _task(data)
        except BadInput as error:
            report(error)
        else:
            sound.append(data)
    return tuple(sound)


def _data_set(task: Task) -> DataSet:
    """The data set of a task, read anew: the others beside it are left alone.

    Raises:
        BadData: It is another one by now.
    """
    for data in find(Path(task.dataset)):
        if data.name == task.name and _task(data) == task:
            return data
    raise BadData(
        f"{task.dataset} has no longer the data set {task.name} that it had when this run began: start it again"
    )


def _task(data: DataSet) -> Task:
    main_score = _MAIN_SCORES[data.kind]
    if data.said.metric:
        main_score = _metric(data)
    return Task(
        name=data.name,
        kind=data.kind,
        dataset=str(data.folder),
        revision="own",
        splits=data.splits,
        main_score=main_score,
        group=_GROUP,
        modalities=data.modalities,
    )


def _check_instructions(sets: Sequence[DataSet], before: ModelSpec, after: ModelSpec) -> None:
    """See that the instruction of each data set is that of no other, which a name such as STS or query would make it.

    Raises:
        BadData: One is.
    """
    for data in sets:
        its_role = "query" if data.kind in RANKED else "symmetric"
        for role in get_args(Role):
            wanted = before.instruction(data.name, data.kind, role)
            if data.said.instruction and role == its_role:
                wanted = data.said.instruction
            elif data.said.instruction and its_role == "symmetric":
                continue  # its texts have no other role
            if after.instruction(data.name, data.kind, role) != wanted:
                raise BadData(
                    f"{data.folder}: {data.name} would get the instruction of another data set, whose name stands for "
                    f"several: give that one another name in its {NAME}"
                )


def _metric(data: DataSet) -> str:
    """The main score that a data set asks for, by mteb's name.

    Raises:
        BadData: There is none for its type.
    """
    known = _METRICS.get(data.kind, ())
    where = data.folder / NAME
    if known:
        if data.said.metric in known:
            return data.said.metric
        raise BadData(f"{where}: {data.kind} has no metric '{data.said.metric:.60}'; it has {', '.join(known)}")
    try:
        metric = Metric.parse(data.said.metric)
    except BadInput as error:
        raise BadData(f"{where}: {error}") from error
    if metric.cutoff not in _CUTOFFS:
        raise BadData(f"{where}: {metric.title} is not computed; cutoffs are {', '.join(map(str, _CUTOFFS))}")
    return metric.name


def _refuse(fault: str) -> None:
    raise BadData(fault)
