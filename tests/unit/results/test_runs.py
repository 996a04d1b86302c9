"""Runs on disk: where they are found, what they are called, which are refused, and what keeps two from comparing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.data_state import DataState
from flagbench.results.definition import Definition
from flagbench.results.identity import settings_digest
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run, difference, find_all, find_run, find_runs, labelled, shared_metric, surely_alike
from flagbench.results.store import RunStore
from flagbench.results.values import Values

ByQuery = Mapping[str, Mapping[str, float]]


def made_task(
    name: str = "A",
    scores: Mapping[str, Any] | float | None = 0.5,
    *,
    values: ByQuery | None = None,
    of: Mapping[str, Any] | None = None,
    commit: str = "",
    **fields: Any,
) -> tuple[TaskRecord, ByQuery | None]:
    """A task and its values by query; ``of`` are its settings, a score alone is of split dev."""
    by_split = {"dev": {"default": scores}} if isinstance(scores, float) else scores or {}
    data = {"source": "hub", "commit": commit} if commit else {"source": "folder", "files": "f1"}
    settings = {"data": data, "task": {"name": name, "main_score": "ndcg_at_10", "dataset": f"org/{name}"} | (of or {})}
    plain = {
        "kind": "Retrieval",
        "status": "success",
        "data": {"status": "official", "differences": [], "source": "hub"},
    }
    record = TaskRecord(
        **plain | fields,
        name=name,
        settings=settings,
        digest=settings_digest(settings),
        scores=by_split,
        files=(Values.file(name),) if values is not None else (f"{name}.json",),
    )
    return record, values


def write_run(
    output: Path,
    model: str,
    *tasks: tuple[TaskRecord, ByQuery | None],
    revision: str = "v1",
    benchmark: str = "cmteb",
    definition: Definition | None = None,
) -> Path:
    """A run as evaluate leaves it; returns its folder."""
    store = RunStore(output, model, revision)
    store.prepare()
    run = RunRecord(benchmark, model, revision, {}, (), {}, {}, definition=definition)
    for record, values in tasks:
        parts = {split: dict.fromkeys(its, values or {}) for split, its in record.scores.items()}
        text = Values(record.name, parts).to_json()
        run = store.write_task(run, record, dict.fromkeys(record.files, text))
    store.release()
    return store.folder


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as error:
        find_runs(path)
    (line,) = str(error.value).splitlines()
    assert str(path) in line
    return line


# Finding.


def test_a_run_is_found_from_every_folder_of_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task())
    for path in (folder, folder.parent, tmp_path / "out", folder / "flagbench", folder / "flagbench" / "run.json"):
        (run,) = find_runs(path)
        assert run.folder.resolve() == folder
        assert (run.label, list(run.record.tasks)) == ("org/one", ["A"])


def test_samples_below_an_output_stand_in_where_there_are_no_full_runs(tmp_path: Path) -> None:
    sample = write_run(tmp_path / "out" / "quick", "org/one", made_task())
    assert [run.folder for run in find_runs(tmp_path / "out")] == [sample]
    full = write_run(tmp_path / "out", "org/one", made_task())
    assert [run.folder for run in find_runs(tmp_path / "out")] == [full]
    assert [run.folder for run in find_runs(tmp_path / "out" / "quick")] == [sample]


@pytest.fixture
def odd_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that lists what is on it backwards."""
    real = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(sorted(real(self, pattern), reverse=True)))


@pytest.mark.usefixtures("odd_disk")
def test_several_runs_under_one_folder_come_by_name(tmp_path: Path) -> None:
    for model in ("org/two", "org/one", "org/three"):
        write_run(tmp_path, model, made_task())
    assert [run.label for run in find_runs(tmp_path)] == ["org/one", "org/three", "org/two"]


@pytest.mark.usefixtures("odd_disk")
def test_samples_of_every_profile_come_by_name(tmp_path: Path) -> None:
    names = [f"{profile}-{number}" for profile in ("smoke", "quick") for number in range(5, 0, -1)]
    for name in names:
        profile, number = name.split("-")
        write_run(tmp_path / profile, f"org/{number}", made_task())
    labels = [run.folder.relative_to(tmp_path).parts[:2] for run in find_runs(tmp_path)]
    assert labels == [(profile, f"org__{number}") for profile in ("quick", "smoke") for number in range(1, 6)]


def test_each_run_comes_once_where_it_is_first_named(tmp_path: Path) -> None:
    write_run(tmp_path, "org/one", made_task())
    two = write_run(tmp_path, "org/two", made_task())
    assert [run.label for run in find_all([two, tmp_path, two])] == ["org/two", "org/one"]


def test_a_run_that_is_reached_by_two_ways_comes_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task())
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (run,) = find_all([tmp_path / "link", folder])
    assert run.folder == tmp_path / "link" / folder.relative_to(tmp_path / "out")


def test_a_run_json_that_was_copied_away_is_a_run_without_values(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", "org/one", made_task(values={"ndcg_at_10": {"q": 0.5}}))
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes((folder / "flagbench" / "run.json").read_bytes())
    runs = find_all([tmp_path / "a.json", tmp_path / "b.json"])
    assert [run.folder for run in runs] == [tmp_path, tmp_path]
    with pytest.raises(BadInput, match="evaluate A again"):
        runs[0].values("A")


# Names.


def test_revisions_tell_runs_of_one_model_apart(tmp_path: Path) -> None:
    write_run(tmp_path, "org/one", made_task(), revision="aaaaaaaaaaaa")
    write_run(tmp_path, "org/one", made_task(), revision="bbbbbbbbbbbb")
    write_run(tmp_path, "org/two", made_task())
    assert [run.label for run in find_runs(tmp_path)] == ["org/one@aaaaaaaa", "org/one@bbbbbbbb", "org/two"]


def test_whole_revisions_and_outputs_tell_the_others_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "x", "org/one", made_task(), revision="aaaaaaaa1")
    write_run(tmp_path / "x", "org/one", made_task(), revision="aaaaaaaa2")
    write_run(tmp_path / "y", "org/one", made_task(), revision="aaaaaaaa1")
    assert [run.label for run in find_runs(tmp_path / "x")] == ["org/one@aaaaaaaa1", "org/one@aaaaaaaa2"]
    outputs = [tmp_path / "x" / "org__one" / "aaaaaaaa1", tmp_path / "y"]
    assert [run.label for run in find_all(outputs)] == ["org/one (x)", "org/one (y)"]
    assert len({run.label for run in find_all([tmp_path / "x", tmp_path / "y"])}) == 3


def test_a_label_is_one_line_that_moves_no_cursor(tmp_path: Path) -> None:
    (run,) = find_runs(write_run(tmp_path, "org/one", made_task()))
    (odd,) = labelled([Run(run.folder, RunRecord("b", "org/a\nb\x1b[31m\ud800", "r", {}, (), {}, {}), "")])
    assert odd.label == "org/a�b�[31m�"


# Refusals.


def test_a_folder_without_runs(tmp_path: Path) -> None:
    assert "holds no runs" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "gone")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ("", "Expecting value"),
        ("[]", "no JSON object"),
        ('{"schema_version": 99}', "update FlagBench"),
        ('{"schema_version": 1}', "tasks"),
        ('{"schema_version": 2}', "tasks"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_damaged_or_unknown_run_json(tmp_path: Path, text: str, said: str) -> None:
    path = write_run(tmp_path, "org/one", made_task()) / "flagbench" / "run.json"
    path.write_text(text, encoding="utf-8")
    assert said in refusal(path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("scores", 3),
        ("scores", {"dev": 0.5}),
        ("scores", {"dev": {"default": "high"}}),
        ("scores", {"dev": {"default": float("nan")}}),
        ("scores", {"dev": {"default": 10**400}}),
        ("settings", None),
        ("settings", {"task": 1}),
        ("data", {"differences": 1}),
        ("status", "fine"),
        ("status", []),
        ("kind", 1),
        ("digest", 1),
        ("sample", []),
        ("files", [1]),
        ("surplus", 1),
    ],
)
def test_a_task_that_is_none(tmp_path: Path, part: str, value: Any) -> None:
    path = write_run(tmp_path, "org/one", made_task()) / "flagbench" / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["tasks"]["A"][part] = value
    path.write_text(json.dumps(document), encoding="utf-8")
    assert "not a run.json that can be read" in refusal(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = write_run(tmp_path, "org/one", made_task()) / "flagbench" / "run.json"
    path.write_bytes(b"\xff\xfe{")
    assert "is not UTF-8" in refusal(path)


# Values by query.


def test_values_are_read_where_the_record_names_them(tmp_path: Path) -> None:
    values = {"ndcg_at_10": {"q1": 0.25, "q2": 0.75}}
    (run,) = find_runs(write_run(tmp_path, "org/one", made_task(values=values), made_task("B")))
    found = run.values("A")
    assert found is not None
    assert (found.metrics, found.of("ndcg_at_10")) == (["ndcg_at_10"], values["ndcg_at_10"])
    # What lies there without being named is of an earlier run.
    (run.folder / "flagbench" / "per_query" / "B.json").write_text("{}", encoding="utf-8")
    assert run.values("B") is None
    assert run.values("C") is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        '{"schema_version": 2, "values": {}}',
        '{"schema_version": 2, "task": "A", "values": {"dev": {"default": {"m": {"q": NaN}}}}}',
        '{"schema_version": 2, "task": "A", "values": {"dev": {"default": {"m": {"q": "x"}}}}}',
        '{"schema_version": 2, "task": "A", "values": {"dev": {"default": {"m": [1]}}}}',
        '{"schema_version": 99, "task": "A", "values": {}}',
        '{"task": "A", "split": [], "values": {}}',
        '{"task": "A", "split": "dev", "values": {"m": {"q": NaN}}}',
    ],
)
def test_damaged_values(tmp_path: Path, text: str) -> None:
    (run,) = find_runs(write_run(tmp_path, "org/one", made_task(values={"m": {"q": 0.5}})))
    (run.folder / "flagbench" / "per_query" / "A.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="evaluate A again") as error:
        run.values("A")
    assert "\n" not in str(error.value)


# What keeps two from comparing.

_STATISTICS = {"status": "differs", "differences": ["queries: 9 instead of 10"], "source": "folder"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"of": {"main_score": "map"}}, "main score ndcg_at_10 against map"),
        ({"of": {"dataset": "other/A"}}, "dataset org/A against other/A"),
        ({"scores": {"test": {"default": 0.5}}}, "splits dev against test"),
        ({"scores": {"dev": {"zh": 0.5, "en": 0.5}}}, "subsets of dev default against en, zh"),
        ({"commit": "c2"}, "data at commit c1 against c2"),
        ({"scores": {"dev": {}}}, "subsets of dev default against (none)"),
        ({"sample": {"profile": "quick", "items": 3, "of": 9}}, "all of its data against 3 of 9 items (profile quick)"),
        ({"commit": "c1", "data": _STATISTICS}, "data: official data against not the official data"),
    ],
)
def test_the_first_difference_is_named(changed: dict[str, Any], said: str) -> None:
    first, _ = made_task(commit="c1")
    second, _ = made_task(**{"commit": "c1"} | changed)
    assert next(difference(first, second)) == said


def test_other_statistics_are_other_data() -> None:
    first, _ = made_task(data=_STATISTICS)
    second, _ = made_task(data=_STATISTICS | {"differences": ["queries: 8 instead of 10"]})
    third, _ = made_task(data=_STATISTICS | {"differences": [*_STATISTICS["differences"], "passages: 1 instead of 2"]})
    assert list(difference(first, second)) == ["data: queries: 9 instead of 10 against queries: 8 instead of 10"]
    assert list(difference(third, first)) == ["data: passages: 1 instead of 2 against official"]


def test_files_of_another_time_and_folders_beside_the_hub_are_no_difference() -> None:
    first, second = made_task(commit="c1")[0], made_task()[0]
    touched = TaskRecord(
        **{**vars(second), "settings": second.settings | {"data": {"source": "folder", "files": "f2"}}}
    )
    assert list(difference(first, second)) == list(difference(second, touched)) == []
    assert surely_alike(second, touched)
    unknown = [TaskRecord(**{**vars(each), "data": {"status": "unknown"}}) for each in (second, touched)]
    assert not surely_alike(*unknown)
    assert surely_alike(unknown[0], unknown[0])


_ROWS = {"content": {"dev": {"rows": 9, "digest": "d" * 64}}}
_OTHER_ROWS = {"content": {"dev": {"rows": 9, "digest": "e" * 64}}}


def _over(data: Mapping[str, Any], marks: Mapping[str, Any]) -> TaskRecord:
    """A record of some data, whose source of rows says something of itself."""
    record, _ = made_task(data=dict(data))
    return replace(record, settings=record.settings | {"data": dict(marks)})


@pytest.mark.parametrize(
    "states", list(product([*DataState, "fine"], repeat=2)), ids=lambda states: " and ".join(states)
)
@pytest.mark.parametrize("content", [({}, {}), (_ROWS, {}), ({}, _ROWS)], ids=["no content", "first", "second"])
def test_without_content_of_both_only_two_over_the_official_data_are_alike_from_anywhere(
    states: tuple[str, str], content: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    first, second = (
        _over({"status": str(state)} | dict(its), {"source": "folder", "files": files})
        for state, its, files in zip(states, content, ("f1", "f2"), strict=True)
    )
    assert surely_alike(first, second) is (states == ("official", "official"))


@pytest.mark.parametrize("states", list(product(DataState, repeat=2)), ids=" and ".join)
def test_content_of_both_decides_whatever_else_is_recorded(states: tuple[str, str]) -> None:
    here, there = {"source": "folder", "files": "f1"}, {"source": "hub", "commit": "c1"}
    one, other = ({"status": str(state)} for state in states)
    for marks in ((here, there), (here, here), (there, there)):
        assert surely_alike(_over(one | _ROWS, marks[0]), _over(other | _ROWS, marks[1]))
        assert not surely_alike(_over(one | _ROWS, marks[0]), _over(other | _OTHER_ROWS, marks[1]))


@pytest.mark.parametrize(
    ("marks", "content", "alike"),
    [
        (({"source": "hub", "commit": "c1"}, {"source": "hub", "commit": "c1"}), ({}, {}), True),
        (({"source": "hub", "commit": "c1"}, {"source": "hub", "commit": "c1"}), (_ROWS, {}), True),
        (({"source": "hub", "commit": "c1"}, {"source": "hub", "commit": "c1"}), ({}, _ROWS), True),
        (({"source": "hub", "commit": "c1"}, {"source": "hub", "commit": "c2"}), ({}, {}), False),
        (({"source": "folder", "files": "f1"}, {"source": "folder", "files": "f1"}), ({}, {}), True),
        # The files of one were hashed, so that those of the other, with equal names and times, may have changed since.
        (({"source": "folder", "files": "f1"}, {"source": "folder", "files": "f1"}), (_ROWS, {}), False),
        (({"source": "folder", "files": "f1"}, {"source": "folder", "files": "f1"}), ({}, _ROWS), False),
        (({"source": "folder", "files": "f1"}, {"source": "folder", "files": "f2"}), ({}, {}), False),
        (({}, {}), ({}, {}), False),
    ],
)
@pytest.mark.parametrize("status", ["differs", "unknown", "counts agree"])
def test_where_the_rows_come_from_decides_of_other_data(
    status: str,
    marks: tuple[Mapping[str, Any], Mapping[str, Any]],
    content: tuple[Mapping[str, Any], Mapping[str, Any]],
    *,
    alike: bool,
) -> None:
    first, second = (_over({"status": status} | dict(its), mark) for its, mark in zip(content, marks, strict=True))
    assert surely_alike(first, second) is alike
    assert surely_alike(second, first) is alike


def test_rows_of_which_nothing_is_recorded_are_not_known_to_be_alike() -> None:
    """As of a published model, or of a run whose source of rows says nothing of itself."""
    made, _ = made_task(data={"status": "unknown"})
    for settings in ({}, {"data": {}}):
        silent = TaskRecord(**{**vars(made), "settings": settings})
        assert not surely_alike(silent, silent)
        assert not surely_alike(silent, made)
    assert surely_alike(made, made)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (({}, {"split": "b"}), "option split None against b"),
        (({"split": "a"}, {}), "option split a against None"),
        (({"split": "a"}, {"split": "b"}), "option split a against b"),
        (({"split": "a"}, {"split": "a", "rule": "b"}), "option rule None against b"),
    ],
)
def test_options_differ_whichever_run_has_them(options: tuple[dict[str, str], dict[str, str]], said: str) -> None:
    made, _ = made_task()
    first, second = (TaskRecord(**{**vars(made), "settings": made.settings | {"options": each}}) for each in options)
    assert list(difference(first, second)) == [said]
    assert list(difference(first, first)) == list(difference(second, second)) == []


def test_the_metric_is_the_one_that_makes_both_scores(tmp_path: Path) -> None:
    named = {"official": {"q1": 1.0, "q2": 0.0}, "robust": {"q1": 1.0, "q2": 1.0}}
    tasks = [made_task(values=named, of={"main_score": "accuracy"}) for _ in range(2)]
    runs = [find_runs(write_run(tmp_path / str(at), "o/m", each))[0] for at, each in enumerate(tasks)]
    values = [run.values("A") for run in runs]
    assert values[0] is not None
    assert values[1] is not None
    pair, kept = (tasks[0][0], tasks[1][0]), (values[0], values[1])
    assert shared_metric(pair, kept) == "official"
    higher = made_task(scores=0.7)[0]
    assert shared_metric((pair[0], higher), kept) is None


def test_a_main_score_that_has_values_is_not_made_by_others(tmp_path: Path) -> None:
    """Another metric may have the same mean by chance: where the main score has values, they must make it."""
    values = {"ndcg_at_10": {"q1": 0.5, "q2": 0.0}, "chance": {"q1": 0.5, "q2": 0.5}}
    record, _ = made_task(scores=0.5, values=values)
    (run,) = find_runs(write_run(tmp_path, "o/m", (record, values)))
    its = run.values("A")
    assert its is not None
    assert shared_metric((record, record), (its, its)) is None
    elsewhere, _ = made_task(scores=0.5, values=values, of={"main_score": "official"})
    assert shared_metric((elsewhere, elsewhere), (its, its)) == "chance"


def test_metrics_that_both_runs_have_are_asked_alone() -> None:
    record, _ = made_task(scores=0.5, of={"main_score": "official"})
    one, other = (Values("A", {"dev": {"default": {name: {"q": 0.5} for name in names}}}) for names in ("ab", "bc"))
    assert shared_metric((record, record), (one, other)) == "b"
    assert shared_metric((record, record), (one, Values("A", {"dev": {"default": {"c": {"q": 0.5}}}}))) is None


def test_one_run_is_asked_for_where_there_are_several(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, f"org/m{number}", made_task()) for number in range(4)]
    assert find_run(folders[0]).folder == folders[0]
    with pytest.raises(BadInput) as caught:
        find_run(tmp_path)
    first, second, third = folders[:3]
    assert str(caught.value) == f"{tmp_path} holds 4 runs: give one of {first}, {second}, {third} and 1 more"
