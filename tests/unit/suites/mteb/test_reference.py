"""The table of published scores that is made of a checkout of the results repository."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.published.standing import rank
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.runners.registry import find_benchmark
from flagbench.runners.task import Task
from flagbench.suites.mteb.reference import _line, _Revision, _scores, place

NAME = "MTEB(kor, v1)"


def entry(subset: str = "default", **scores: Any) -> dict[str, Any]:
    return {"hf_subset": subset, "languages": ["kor-Hang"], **scores}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of every task at one revision, with other metrics, and of some at another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, row in enumerate(find_benchmark(NAME).tasks()):
        splits = {
            split: [entry(each, main_score=0.99, **{row.main_score: 0.1 + number / 100}) for each in row.subsets]
            for split in row.splits
        }
        write(tmp_path, "org__whole/rev1", row.name, splits, "2.20.0")
        if number == 0:
            write(tmp_path, "org__whole/rev0", row.name, splits, "1.38.9")
            write(tmp_path, "org__part/rev1", row.name, splits, "2.25.0")
    return tmp_path


def write(root: Path, where: str, task: str, scores: Any, version: str) -> None:
    path = root / "results" / where / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"task_name": task, "mteb_version": version, "scores": scores}), encoding="utf-8")


def test_the_table_has_the_main_scores_of_all_models(checkout: Path) -> None:
    benchmark = find_benchmark(NAME)
    assert benchmark.published() is None
    made = benchmark.update_published(checkout)
    assert made is not None
    assert (made.models, made.whole, made.path) == (2, 1, place(NAME))
    table = benchmark.published()
    assert table is not None
    rows = benchmark.tasks()
    assert list(table.kinds) == [row.name for row in rows]
    whole = table.of_model("org/whole")
    assert whole.made_by == "mteb 2.20.0"
    assert whole.revision == "rev1"
    for number, row in enumerate(rows):
        assert whole.score(row.name) == pytest.approx(0.1 + number / 100)
    assert list(table.of_model("org/part").scores) == [rows[0].name]
    assert table.other_subsets(rows[0].name, {"test": {"xx": 0.5}}).startswith("scored over other subsets than the ")
    assert table.other_subsets(rows[0].name, {"test": dict.fromkeys(rows[0].subsets, 0.5)}) == ""


def test_a_score_needs_every_subset_and_a_number(checkout: Path) -> None:
    (row, *_) = find_benchmark(NAME).tasks()
    (split, *_) = row.splits
    for value, said in {
        None: "",
        "0.5": f'{row.main_score} of {row.subsets[0]} is "0.5", no number from -1 to 1',
        True: "is true, no number",
        7.0: "is 7.0, no number",
        10**400: "is 1000.*, no number",
        float("inf"): "is Infinity, no number",
        float("nan"): f"{row.main_score} of {row.subsets[0]} is NaN, no number",
        (): r"is \[\], no number",
    }.items():
        scores = {split: [entry(each, **{row.main_score: value}) for each in row.subsets]}
        write(checkout, "org__part/rev1", row.name, scores, "2.25.0")
        made = find_benchmark(NAME).update_published(checkout)
        assert made is not None
        assert made.models == 1
        assert len(made.unread) == bool(said)
        assert all(re.search(f"{row.name}.json: .*{said}.*: its {split} is left out$", line) for line in made.unread)


def test_what_the_benchmark_does_not_take_may_hold_anything(checkout: Path) -> None:
    """As mteb writes it: NaN in a metric that it could not take, and in all of a split that is not of the benchmark."""
    (row, *_) = find_benchmark(NAME).tasks()
    (split, *_) = row.splits
    scores = {
        split: [entry(each, **{row.main_score: 0.25}, nauc_at_10=float("nan")) for each in row.subsets],
        "other": [entry(**{row.main_score: float("nan")})],
    }
    write(checkout, "org__part/rev1", row.name, scores, "1.38.9")
    benchmark = find_benchmark(NAME)
    made = benchmark.update_published(checkout)
    assert made is not None
    assert (made.models, made.unread, made.replaced) == (2, (), False)
    table = benchmark.published()
    assert table is not None
    assert table.of_model("org/part").score(row.name) == 0.25
    again = benchmark.update_published(checkout)
    assert again is not None
    assert again.replaced


def test_what_comes_with_flagbench_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r'come with FlagBench .*name --benchmark "MTEB\(cmn, v1\)"'):
        find_benchmark("cmteb").update_published(tmp_path)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([], "at its top: "),
        ({}, "at mteb_version: "),
        ({"mteb_version": ["2"], "scores": {}}, "at mteb_version"),
        ({"mteb_version": "2", "scores": []}, "at scores: "),
        ({"mteb_version": "2", "scores": {"test": {}}}, "at scores.test: "),
        ({"mteb_version": "2", "scores": {"test": ["x"]}}, "at scores.test.0: "),
        ({"mteb_version": "2", "scores": {"test": [{"hf_subset": ["default"]}]}}, "at scores.test.0.hf_subset: "),
        ({"mteb_version": "2", "scores": {"test": [{}]}}, "at scores.test.0.hf_subset: "),
    ],
)
def test_a_file_that_is_no_result_is_left_out_with_a_line(checkout: Path, result: Any, said: str) -> None:
    (row, *_) = find_benchmark(NAME).tasks()
    path = checkout / "results" / "org__part" / "rev1" / f"{row.name}.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    made = find_benchmark(NAME).update_published(checkout)
    assert made is not None
    (line,) = made.unread
    assert line.startswith(f"{path} holds no scores of {row.name} ({said}")
    assert made.models == 1


def test_names_that_the_table_cannot_hold_are_left_out_with_a_line(checkout: Path) -> None:
    (row, *_) = find_benchmark(NAME).tasks()
    splits = {split: [entry(each, **{row.main_score: 0.5}) for each in row.subsets] for split in row.splits}
    for where, version in (("#evil__x/r", "2"), ("a\n#b__x/r", "2"), ("org__rev/r\n#", "2"), ("org__v/r", "2\n#")):
        write(checkout, where, row.name, splits, version)
    write(checkout, 'org__a,"b/r', row.name, splits, "2")
    made = find_benchmark(NAME).update_published(checkout)
    assert made is not None
    assert len(made.unread) == 4
    assert all(line.endswith("that no line of the table holds: it is left out") for line in made.unread)
    table = find_benchmark(NAME).published()
    assert table is not None
    assert set(table.models) == {"org/whole", "org/part", 'org/a,"b'}
    assert made.models == 3


def test_a_benchmark_with_an_aggregate_has_the_results_of_its_parts(checkout: Path) -> None:
    """Twelve forums count as one task of BEIR, as on its leaderboard."""
    benchmark = find_benchmark("beir")
    for row in benchmark.tasks():
        splits = {split: [entry(**{row.main_score: 0.5})] for split in row.splits}
        write(checkout, "org__beir/r", row.name, splits, "2.25.0")
    made = benchmark.update_published(checkout)
    assert made is not None
    assert (made.models, made.whole) == (1, 1)
    table = benchmark.published()
    assert table is not None
    (forums,) = [its for its in table.counted if len(its) > 1]
    assert len(forums) == 12
    assert all(name.startswith("CQADupstack") for name in forums)
    assert len(table.counted) == len(table.kinds) - 11 == 15
    assert table.average == "Mean (Task)"
    assert table.weights["NFCorpus"] == pytest.approx(1 / 15)
    assert table.weights[forums[0]] == pytest.approx(1 / 180)


def test_old_names_of_main_scores_of_tasks_with_images() -> None:
    """mteb 1 called a hit rate ``cv_recall_at_k``, and the accuracy of ImageCoDe not at all."""
    for metric, former in (
        ("hit_rate_at_1", {"cv_recall_at_1": 0.25}),
        ("hit_rate_at_3", {"cv_recall_at_3": 0.25}),
        ("image_acc", {"main_score": 0.25}),
    ):
        row = Task("A", "Any2AnyRetrieval", "a/b", "main", ("test",), metric, "mteb")
        scores = {"test": [entry(**{"main_score": 0.25, **former})]}
        assert dict(_scores({"scores": scores}, row, pytest.fail)) == {("A", "test", ""): 0.25}
    row = Task("A", "Any2AnyRetrieval", "a/b", "main", ("test",), "ndcg_at_10", "mteb")
    assert dict(_scores({"scores": {"test": [entry(main_score=0.25)]}}, row, pytest.fail)) == {}


def test_what_is_no_checkout_and_a_damaged_table_are_one_line(checkout: Path, tmp_path: Path) -> None:
    benchmark = find_benchmark(NAME)
    with pytest.raises(BadInput, match=r"has no folder results/: name a checkout of https://github\.com/"):
        benchmark.update_published(tmp_path / "cache")
    (tmp_path / "empty" / "results").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"has no results of MTEB\(kor, v1\)"):
        benchmark.update_published(tmp_path / "empty")
    assert find_benchmark("miracl").update_published(checkout) is None
    place(NAME).parent.mkdir(parents=True, exist_ok=True)
    place(NAME).write_text("model,revision,mteb,A\ntype,,,STS\nsplit,,,test\norg/m,1,2.0,x\n", encoding="utf-8")
    with pytest.raises(BadInput, match="is damaged: make it again with flagbench reference update"):
        benchmark.published()


_CELLS = [("A", "test", ""), ("B", "test", ""), ("C", "test", "")]


def revision(label: str, versions: str, **scores: float) -> _Revision:
    return _Revision(label, {(task, "test", ""): score for task, score in scores.items()}, frozenset(versions.split()))


@pytest.mark.parametrize(
    ("revisions", "line"),
    [
        ([], []),
        ([revision("r", "1.0")], []),
        ([revision("r1", "1.0", A=0.5)], ["r1", "1.0", "0.500000", "", ""]),
        # That with the most scores comes first, and one that has nothing more is not used.
        (
            [revision("r1", "9.0", A=0.5), revision("r2", "2.0 1.5", A=0.125, B=0.25)],
            ["r2", "1.5+2.0", "0.125000", "0.250000", ""],
        ),
        (
            [revision("r1", "1.0", C=0.75, A=0.5), revision("r2", "2.0", A=0.125, B=0.25)],
            ["r1+r2", "1.0+2.0", "0.500000", "0.250000", "0.750000"],
        ),
        ([revision("b", "1.0", A=0.5), revision("a", "2.0", A=0.25)], ["a", "2.0", "0.250000", "", ""]),
    ],
)
def test_the_results_of_all_revisions_of_a_model_are_one_line(revisions: list[_Revision], line: list[str]) -> None:
    assert _line("org/m", revisions, _CELLS) == (["org/m", *line] if line else [])


def test_a_main_score_is_the_mean_over_the_subsets_under_its_name_or_its_former_one() -> None:
    row = Task("A", "Reranking", "o/d", "1", ("test", "dev"), "map_at_1000", "mteb", ("zh", "en"))
    zh, en, fr = (entry(name, map_at_1000=score) for name, score in (("zh", 0.5), ("en", -1), ("fr", 0.9)))

    def found(**scores: Any) -> dict[tuple[str, str, str], float]:
        return dict(_scores({"mteb_version": "2", "scores": scores}, row, pytest.fail))

    assert found(test=[fr, en, zh], dev=[zh]) == {("A", "test", ""): -0.25}
    assert found(test=[entry("zh", map=0.5), entry("en", map=0.7, map_at_1000=0.1)]) == {("A", "test", ""): 0.3}
    for odd in ({"test": [zh]}, {"test": []}, {"other": [zh, en]}):
        assert found(**odd) == {}


def test_a_task_of_which_parts_count_has_a_score_for_each_subset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is ranked by the parts; without them, as in a table that was made before, there is no average."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    benchmark = find_benchmark("MIEB(Multilingual)")
    name, rows = "STS17MultilingualVisualSTS", benchmark.tasks()
    for model, english in (("good", 0.9), ("bad", 0.1)):
        for row in rows:
            scores = {
                split: [entry(each, **{row.main_score: english if each == "en-en" else 0.5}) for each in row.subsets]
                for split in row.splits
            }
            write(tmp_path, f"org__{model}/r", row.name, scores, "2.20.0")
    made = benchmark.update_published(tmp_path)
    assert made is not None
    assert (made.models, made.whole) == (2, 2)
    table = benchmark.published()
    assert table is not None
    assert table.average == "Mean (TaskType)"
    (row,) = [row for row in rows if row.name == name]
    its = table.of_model("org/good")
    assert its.subsets[name] == {"test": {each: 0.9 if each == "en-en" else 0.5 for each in row.subsets}}
    assert its.score(name) == pytest.approx((0.9 + 10 * 0.5) / 11, abs=1e-6)
    own = {row.name: {split: dict.fromkeys(row.subsets, 0.5) for split in row.splits} for row in rows}
    tasks = {
        row.name: TaskRecord(row.name, row.kind, "success", {}, "", own[row.name], {"status": "official"})
        for row in rows
    }
    run = RunRecord(benchmark.name, "me/mine", "r", {}, (), {}, tasks)
    ranking = rank(run, table)
    assert [entry.model for entry in ranking.entries] == ["org/good", "me/mine", "org/bad"]
    kinds = {entry.model: entry.means for entry in ranking.entries}
    # VisualSTS(eng) is the mean of seven tasks, of which that of the one subset is one.
    assert kinds["org/good"]["VisualSTS(eng)"] == pytest.approx(0.5 + 0.4 / 7, abs=1e-9)
    assert kinds["org/good"]["VisualSTS(multi)"] == 0.5
    assert ranking.ours.points == sum(2 / 2 for _ in table.counted)
    lines = made.path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [at for at, task in enumerate(next(csv.reader(lines[1:2]))) if "MultilingualVisualSTS" not in task]
    with made.path.open("w", encoding="utf-8", newline="") as file:
        write_line = csv.writer(file).writerow
        for line in csv.reader(line for line in lines[1:] if not line.startswith("subset")):
            write_line([line[at] for at in kept])
    former = benchmark.published()
    assert former is not None
    assert (former.average, len(former.kinds)) == ("Mean (TaskType)", len(rows) - 2)
    with made.path.open("w", encoding="utf-8", newline="") as file:
        write_line = csv.writer(file).writerow
        for label, line in zip(
            (name, "VisualSTS(multi)", "test", "0.5", "0.5"),
            (line for line in csv.reader(lines[1:]) if line[0] != "subset"),
            strict=True,
        ):
            write_line([*(line[at] for at in kept), label])
    former = benchmark.published()
    assert former is not None
    assert (former.average, dict(former.weights)) == ("", {})
    assert not {"VisualSTS(eng)", "VisualSTS(multi)"} & former.groups.keys()
    assert (name,) in former.counted


def test_a_table_is_called_as_its_benchmark() -> None:
    names = [place(name).name for name in ("MTEB(eng, v2)", "NanoBEIR", "BRIGHT(v1.1)", "(a)")]
    assert names == ["mteb-eng-v2.csv", "nanobeir.csv", "bright-v1.1.csv", "a.csv"]
