"""Long contexts as a user runs them: every kind of task over a tiny model, scores, maps, files, and bad input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from flagbench.results.identity import settings_digest
from tests.causal_checkpoints import write_causal
from tests.e2e.commands import here, one_line
from tests.e2e.test_airbench import tasks_of

TASKS = (
    "Needle",
    "Passkey",
    "TopicRetrieval",
    "LongBench-trec",
    "LongBench-passage_count",
    "LongBench-E-passage_retrieval_en",
    "InfiniteBench-code_run",
    "ruler_fwe",
    "PG19",
    "MMLU",
)
SMALL = ("--context-length", "500", "--stride", "300")


def write_tiny(folder: Path) -> Path:
    """A tiny random Llama with a token for each byte, and room for long contexts."""
    write_causal(folder, "llama")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"max_position_embeddings": 32_768}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


def evaluate(model: Path | str, output: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return here("evaluate", model, "--benchmark", "longctx", "--mini", "--output", output, *more)


@pytest.fixture(scope="module")
def done(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a task of every kind; not to be written to."""
    output = tmp_path_factory.mktemp("longctx")
    result = evaluate(tiny, output, "--tasks", ",".join(TASKS), *SMALL)
    assert result.returncode == 0, result.stderr
    return output


def answers(output: Path, task: str) -> list[dict[str, Any]]:
    """What a run keeps of a task."""
    (path,) = output.glob(f"*/*/LongContext/{task}.json")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["answers"]
    return found


def kept(output: Path) -> dict[str, bytes]:
    """Files of answers by name."""
    return {path.name: path.read_bytes() for path in output.glob("*/*/LongContext/*.json")}


def test_every_kind_has_answers_and_a_score(done: Path) -> None:
    tasks = tasks_of(done)
    assert tasks.keys() == set(TASKS)
    samples = {name: len(answers(done, name)) for name in TASKS}
    grid = {"Needle": 4, "Passkey": 4, "TopicRetrieval": 4, "ruler_fwe": 4}  # two of each of two lengths
    assert samples == {name: grid.get(name, 2) for name in TASKS}
    for name, task in tasks.items():
        (by_subset,) = task["scores"].values()
        assert by_subset, name
        assert all(-20 < score <= 1 for score in by_subset.values()), name


def test_scores_are_those_of_the_answers(done: Path) -> None:
    tasks = tasks_of(done)
    right = {"1024": [], "2048": []}  # type: dict[str, list[float]]
    for each in answers(done, "Passkey"):
        found = re.search(r"\d+", each.get("text", ""))
        right[each["subset"]].append(float(bool(found) and found[0] == each["references"][0]))
    assert tasks["Passkey"]["scores"] == {"flagembedding": {name: fmean(its) for name, its in right.items()}}

    subjects: dict[str, list[float]] = {}
    for each in answers(done, "MMLU"):
        letter = "ABCD"[each["numbers"].index(max(each["numbers"]))]
        subjects.setdefault(each["subset"], []).append(float([letter] == each["references"]))
    assert tasks["MMLU"]["scores"] == {"flagembedding": {name: fmean(its) for name, its in subjects.items()}}


def test_a_finished_run_asks_nothing_again(tiny: Path, done: Path, tmp_path: Path) -> None:
    output = tmp_path / "again"
    shutil.copytree(done, output)
    again = evaluate(tiny, output, "--tasks", ",".join(TASKS), *SMALL)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished before with the same settings, skipped") == len(TASKS)
    assert kept(output) == kept(done)


def test_a_dry_run_counts_without_asking(tiny: Path, tmp_path: Path) -> None:
    flags = ("--tasks", "Passkey,MMLU", "--dry-run", "--price", "1,2")
    result = evaluate(tiny, tmp_path / "none", *flags)
    assert result.returncode == 0, result.stderr
    # A byte is a token: contexts of 1,024 and 2,048, each twice, and 50 tokens of an answer at most.
    assert re.search(r"Passkey +│ +4 │ +4 │ +6,144 │ +200 │", result.stdout)
    assert "nothing was asked, nothing was written" in result.stdout
    assert not (tmp_path / "none").exists()


def test_the_miniature_data_needs_no_flags(tiny: Path, tmp_path: Path) -> None:
    result = evaluate(tiny, tmp_path / "none", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in ("Needle", "Passkey", "TopicRetrieval", "LongEvalLines"))


def test_scores_are_printed_as_their_sources_do(done: Path) -> None:
    result = here("score", "longctx", done)
    assert result.returncode == 0, result.stderr
    for title in (
        "Passkey (flagembedding), accuracy in percent",
        "Needle (flagembedding), rouge_l in percent",
        "LongBench, flagembedding, means of rounded scores",
        "LongBench-E, official",
        "InfiniteBench, flagembedding, means of rounded scores",
        "RULER, official",
        "MMLU, flagembedding",
        "PG19, flagembedding",
        "perplexity",
        "effective length at RULER's threshold of 85.6",
    ):
        assert title in result.stdout, title


def test_pages_and_tables_have_the_run(done: Path, tmp_path: Path) -> None:
    shown = here("show", done)
    assert shown.returncode == 0, shown.stderr
    assert all(name in shown.stdout for name in TASKS)
    page = tmp_path / "report.html"
    assert here("report", done, "--html", page).returncode == 0
    html = page.read_text(encoding="utf-8")
    assert {each for each in TASKS if f'data-grid="{each}"' in html} == {"Needle", "Passkey", "TopicRetrieval"}


def test_files_for_other_evaluations_need_all_samples(done: Path, tmp_path: Path) -> None:
    submit = ("submit", "longctx", done, "--output", tmp_path / "files")
    assert "Needle has 4 of 100 answers" in one_line(here(*submit))
    assert not (tmp_path / "files").exists()
    partial = here(*submit, "--allow-partial")
    assert partial.returncode == 0, partial.stderr
    assert "PARTIAL" in partial.stdout
    written = {path.relative_to(tmp_path / "files").as_posix() for path in (tmp_path / "files").rglob("*.json*")}
    assert {name.replace("local__tiny", "M") for name in written} >= {
        "flagembedding/LongBench/pred/M/trec.jsonl",
        "flagembedding/LongBench/pred/M/result.json",
        "official/LongBench/pred_e/M/passage_retrieval_en.jsonl",
        "flagembedding/InfiniteBench/M/preds_code_run.jsonl",
        "flagembedding/FlagEmbedding/passkey/M/results.json",
        "flagembedding/FlagEmbedding/needle/M/results.json",
        "flagembedding/FlagEmbedding/topic_retrieval/M/results.json",
    }
    (path,) = (tmp_path / "files").rglob("trec.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert [line["pred"] for line in lines] == [each.get("text", "") for each in answers(done, "LongBench-trec")]
    assert "exists already" in one_line(here(*submit, "--allow-partial"))
    assert here(*submit, "--allow-partial", "--overwrite").returncode == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tasks", "Passkey", "--protocol", "longbench"], "invalid choice: 'longbench'"),
        (["--tasks", "Passkey", "--protocol", "official"], "Passkey (flagembedding, qlora) has no protocol 'official'"),
        (["--tasks", "Passkey", "--depths", "0,101"], "from 0 to 100, not '101'"),
        (["--tasks", "Passkey", "--lengths", "0"], "--lengths"),
        (["--tasks", "LongBench-trec", "--context-length", "0"], "--context-length"),
        (["--tasks", "Passkey", "--groups", "grid"], "drop one"),
        (["--tasks", "Passkeys"], "Passkeys"),
        (["--groups", "longbank"], "longbank"),
        (["--tasks", "Needle", "--haystack", "nowhere.txt"], "nowhere.txt"),
        (["--tasks", "Passkey", "--api-base", "http://127.0.0.1:1/v1", "--dtype", "fp32"], "the server's affair"),
        (["--tasks", "InfiniteBench-math_calc", "--protocol", "official", "--template", "gpt4"], "a conversation"),
    ],
)
def test_bad_input_is_one_line(tiny: Path, tmp_path: Path, flags: list[str], said: str) -> None:
    assert said in one_line(evaluate(tiny, tmp_path / "out", *flags))
    assert not (tmp_path / "out").exists()


def test_a_length_without_room_is_named(tiny: Path, tmp_path: Path) -> None:
    result = evaluate(tiny, tmp_path / "out", "--tasks", "Passkey", "--lengths", "64")
    assert result.returncode != 0
    assert "a context of 64 tokens has no room for its question" in result.stderr
    assert "Traceback" not in result.stderr


class TestSavedAnswers:
    @pytest.fixture
    def copy(self, done: Path, tmp_path: Path) -> Path:
        shutil.copytree(done, tmp_path / "copy")
        return tmp_path / "copy"

    @pytest.mark.parametrize("command", ["score", "submit"])
    def test_a_damaged_file_is_named(self, copy: Path, command: str) -> None:
        (path,) = copy.glob("*/*/LongContext/LongBench-trec.json")
        path.write_bytes(path.read_bytes()[:-20])
        assert "LongBench-trec.json" in one_line(here(command, "longctx", copy))

    @pytest.mark.parametrize("command", ["score", "submit"])
    def test_a_run_of_another_benchmark_is_refused(self, copy: Path, command: str) -> None:
        (path,) = copy.glob("*/*/flagbench/run.json")
        path.write_text(path.read_text(encoding="utf-8").replace('"longctx"', '"mlvu"'), encoding="utf-8")
        assert "is a run of mlvu, not of longctx" in one_line(here(command, "longctx", copy))

    def test_a_folder_without_runs_is_one_line(self, tmp_path: Path) -> None:
        assert one_line(here("score", "longctx", tmp_path))


def _swap_cells(values: Any) -> None:
    first, second = values["answers"][:2]
    first["cell"], second["cell"] = second["cell"], first["cell"]
    first["id"], second["id"] = second["id"], first["id"]


def _swap_values(values: Any) -> None:
    its = values["values"]["flagembedding"]["1024"]["accuracy"]
    values["values"]["flagembedding"]["1024"]["accuracy"] = dict(reversed(its.items()))


def _turn_over(values: Any) -> None:
    values["values"].reverse()
    values["samples"].reverse()
    values["values"][0][0] = 1.0


@pytest.mark.parametrize(
    ("file", "change", "command"),
    [
        ("LongContext/Passkey.json", _swap_cells, "score longctx {output}"),
        ("LongContext/Passkey.json", _swap_cells, "submit longctx {output} --allow-partial --output {output}/files"),
        ("flagbench/per_query/Passkey.json", _swap_values, "verify {output}"),
        (
            "flagbench/per_query/Passkey.json",
            _swap_values,
            "check --baseline {done} --candidate {output} --rules {rules}",
        ),
        ("flagbench/grids/Passkey.json", _turn_over, "report {output} --html {output}/page.html"),
    ],
)
def test_depths_that_change_their_places_are_noticed(
    done: Path, tmp_path: Path, file: str, change: Callable[[Any], None], command: str
) -> None:
    """The means of the lengths stay as they are."""
    output, rules = tmp_path / "changed", tmp_path / "rules.toml"
    shutil.copytree(done, output)
    (record,) = output.glob("*/*/flagbench/run.json")  # of another day, or check would say that it is the same run
    record.write_text(record.read_text(encoding="utf-8").replace('"finished": "', '"finished": "later than '))
    rules.write_text("[[rule]]\ntasks = ['Passkey']\nmax-drop = 0.0\n", encoding="utf-8")
    (path,) = output.glob(f"*/*/{file}")
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")
    result = here(*command.format(done=done, output=output, rules=rules).split())
    assert "is not as it was written, its SHA-256 is another than run.json has for it" in one_line(result)


def test_results_of_before_stand(tiny: Path, done: Path, tmp_path: Path) -> None:
    """Once all options were kept with every task: what was made under them is not made again, and compares."""
    output = tmp_path / "before"
    shutil.copytree(done, output)
    (path,) = output.glob("*/*/flagbench/run.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    task = record["tasks"]["MMLU"]
    every = {
        "protocol": None,
        "context_length": 500,
        "lengths": [1024, 2048],
        "depths": [0, 50, 100],
        "topics": [],
        "lines": [],
        "rows": 2,
        "shots": 0,
        "stride": 300,
        "seed": None,
        "template": "mistral",
        "newline_ends": "as-published",
        "haystack": None,
    }
    assert task["settings"]["options"].items() <= every.items()
    task["settings"]["options"] = every
    task["digest"] = settings_digest(task["settings"])
    path.write_text(json.dumps(record), encoding="utf-8")
    again = evaluate(tiny, output, "--tasks", "PG19,MMLU", *SMALL)
    assert "MMLU: finished before with the same settings, skipped" in again.stderr
    other = evaluate(tiny, output, "--tasks", "MMLU", "--shots", "1")
    assert "finished before" not in other.stderr


def test_tasks_with_other_options_have_a_mean(done: Path) -> None:
    """What only one of them reads keeps no average from them."""
    result = here("show", done)
    assert "settings differ" not in result.stdout


def test_effective_lengths_are_shown_and_nothing_of_vectors(done: Path, tmp_path: Path) -> None:
    shown = here("show", done).stdout
    assert "Passkey: effective length at RULER's threshold of 85.6: below 1,024 tokens" in shown
    assert "TopicRetrieval: effective" not in shown
    page = tmp_path / "page.html"
    assert here("report", done, "--html", page).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("Effective length at RULER&#39;s threshold of 85.6: below 1,024 tokens.") == 2
    assert not any(word in text for word in ("Vector length", "cosine", "<code>normalize", "similarity"))


def test_help_has_the_flags_that_apply() -> None:
    texts = [here("evaluate", "--benchmark", "longctx", flag).stdout for flag in ("--help", "--help-all")]
    for flag in ("--pooling", "--query-mix", "--reranker", "--compress-ratio", "--dense-candidates", "--store-fp16"):
        assert [flag in text for text in texts] == [False, True], flag
    for flag in ("--chat-template", "--dtype", "--adapter", "--lengths", "--api-base"):
        assert [flag in text for text in texts] == [True, True], flag
    assert "--pooling" in here("evaluate", "--benchmark", "cmteb", "--help").stdout


def test_scores_as_json_are_those_of_the_record(done: Path, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    assert here("score", "longctx", done, "--json", file).returncode == 0
    values = json.loads(file.read_text(encoding="utf-8"))
    recorded = {name: task["scores"] for name, task in tasks_of(done).items()}
    assert {each["task"]: {each["protocol"]: each["scores"]} for each in values["tasks"]} == recorded
    lengths = {each["task"]: each["effective_length"] for each in values["tasks"]}
    assert lengths["Passkey"] == {"length": None, "longer": False}
    assert lengths["MMLU"] is None
    assert {each["title"] for each in values["tables"]} >= {"RULER, official", "MMLU, flagembedding"}
    assert "exists already: use --overwrite" in one_line(here("score", "longctx", done, "--json", file))
    assert here("score", "longctx", done, "--json", file, "--overwrite").returncode == 0


@pytest.mark.parametrize("flags", [("--devices", "cpu:2"), ("--engine", "ray", "--device", "cpu")])
def test_a_model_that_answers_has_one_place(tiny: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    result = evaluate(tiny, tmp_path, "--tasks", "Passkey", *flags)
    line = one_line(result)
    assert line.startswith(f"flagbench: {' '.join(flags[:2])}: local/tiny answers questions in one process")
    assert not any(tmp_path.iterdir())
