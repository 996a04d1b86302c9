"""MLVU as a user runs it on miniature data: baselines, a model that reads the drawn signs, kills, scores, bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadData
from flagbench.mlvu.benchmark import MINI, MLVU
from flagbench.mlvu.evaluation import evaluate as ask
from flagbench.mlvu.mini.signs import answer, read_sign
from flagbench.mlvu.options import MlvuOptions
from flagbench.models.loading.registry import published
from flagbench.models.prompts import Prompt
from flagbench.models.video import VideoSettings
from flagbench.runners.benchmark import EvaluatedModel, Outcome
from flagbench.runners.commands.leaderboard import Leaderboard
from flagbench.runners.commands.report import benchmarks
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from tests.answering import clip_of
from tests.causal_checkpoints import write_causal
from tests.e2e.commands import here, one_line
from tests.e2e.test_airbench import tasks_of

FIRST = "flagbench/first-letter"


def evaluate(output: Path, *more: str | Path, model: str | Path = FIRST) -> subprocess.CompletedProcess[str]:
    return here("evaluate", model, "--benchmark", "mlvu", "--mini", "--output", output, *more)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the baseline that always answers A; not to be written to."""
    output = tmp_path_factory.mktemp("mlvu")
    result = evaluate(output)
    assert result.returncode == 0, result.stderr
    return output


class Reader:
    """Answers by the signs drawn into the frames, and notes what it was asked."""

    capabilities = frozenset({"generate"})
    device = "cpu"
    backend = "none"

    def __init__(self, settings: VideoSettings, dies_after: int | None = None) -> None:
        from dataclasses import replace

        self.spec = replace(published()[FIRST], own=settings)
        self.asked: list[str] = []
        self._dies_after = dies_after

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
        for index, prompt in enumerate(prompts):
            if len(self.asked) == self._dies_after:
                raise KeyboardInterrupt
            self.asked.append(prompt.text)
            clip = clip_of(prompt)
            signs = [read_sign(frame) for frame in clip.frames]
            assert len({sign.letters for sign in signs}) == 1
            assert [sign.frame for sign in signs] == clip.indices.tolist()
            question = prompt.text.removeprefix("Question: ").splitlines()[0]
            yield index, f"{answer(signs[0], question)}) is right"


def run(
    name: str, model: Any, journal: Path, frames: Path | None = None, *, data: Path = MINI, **asked: Any
) -> Outcome:
    request = RunRequest("m", "mlvu", tasks=(name,), store=frames, options=MlvuOptions(**asked))
    (task,) = MLVU.select(request)
    loaded = MLVU.load(task, Snapshots(data), request)
    return ask(loaded, EvaluatedModel(model, journal=journal, digest="d"), Silent())


CHOICES = ["plotQA", "findNeedle", "ego", "count", "order", "anomaly_reco", "topic_reasoning"]


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize(
    "settings",
    [
        VideoSettings(4, sampler="mlvu"),
        VideoSettings(3, sampler="uniform", max_pixels=10_000),
        VideoSettings(6, sampler="fps", fps=0.5),
    ],
    ids=["mlvu", "uniform", "fps"],
)
def test_a_model_that_reads_the_signs_is_always_right(tmp_path: Path, name: str, settings: VideoSettings) -> None:
    outcome = run(name, Reader(settings), tmp_path / "journal")
    assert outcome.scores == {"dev": {"as-released": 1.0}}
    assert "robust 100.00" in outcome.note


def test_answers_that_name_no_option_are_counted(tmp_path: Path) -> None:
    class Mumbler(Reader):
        def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
            for index, text in super().answers(prompts, max_new_tokens=max_new_tokens):
                yield index, "hm" if index == 0 else text

    settings = VideoSettings(frames=12, sampler="mlvu")
    outcome = run("ego", Mumbler(settings), tmp_path / "journal")
    assert outcome.texts["unparsed"] == 1
    assert outcome.texts["asked"] == outcome.texts["answered"] > 1
    assert f"1 of {outcome.texts['asked']} answers name no option" in outcome.note
    again = run("ego", Reader(settings), tmp_path / "journal")  # nothing is asked a second time
    assert again.texts == outcome.texts | {"answered": 0}


def test_the_baseline_that_answers_a_is_right_where_a_is(done: Path) -> None:
    tasks = tasks_of(done)
    for path in sorted((MINI / "MLVU" / "MVLU" / "json").glob("[1-7]_*.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        right = sum(row["answer"] == row["candidates"][0] for row in rows)
        name = {"needle": "findNeedle"}.get(path.stem[2:], path.stem[2:])
        assert tasks[f"MLVU-dev_{name}"]["scores"] == {"dev": {"as-released": right / len(rows)}}
    assert tasks["MLVU-dev_summary"]["scores"] == {}
    (path,) = done.glob("*/*/flagbench/per_query/MLVU-dev_ego.json")
    values = json.loads(path.read_text(encoding="utf-8"))["values"]["dev"]["as-released"]["official"]
    assert sum(values.values()) / len(values) == tasks["MLVU-dev_ego"]["scores"]["dev"]["as-released"]


def test_the_majority_letter_is_at_least_as_right_as_any_other(tmp_path: Path, data: Path) -> None:
    path = data / "MLVU" / "MVLU" / "json" / "3_ego.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    for row in rows[:5]:
        row["answer"] = row["candidates"][2]
    path.write_text(json.dumps(rows), encoding="utf-8")
    result = here(
        *("evaluate", "flagbench/majority-letter", "--benchmark", "mlvu", "--tasks", "ego,summary"),
        *("--data", data, "--output", tmp_path / "o"),
    )
    assert result.returncode == 0, result.stderr
    right = sum(row["answer"] == row["candidates"][2] for row in rows)
    assert tasks_of(tmp_path / "o")["MLVU-dev_ego"]["scores"]["dev"]["as-released"] == right / len(rows)


def test_a_run_that_was_killed_asks_no_question_twice(tmp_path: Path) -> None:
    journal, settings = tmp_path / "journal", VideoSettings(2, sampler="mlvu")
    asked: list[str] = []
    whole = run("ego", Reader(settings), tmp_path / "other")
    for stops in (1, 3, 0, 2):
        model = Reader(settings, dies_after=stops)
        with pytest.raises(KeyboardInterrupt):
            run("ego", model, journal)
        asked += model.asked
    # A torn line, as a kill in the middle of a write leaves it.
    with journal.open("ab") as file:
        file.write(b'{"id": "3_ego:7", "ans')
    last = Reader(settings)
    outcome = run("ego", last, journal)
    asked += last.asked
    assert len(asked) == len(set(asked)) == 8
    assert outcome.files == whole.files


def test_frames_are_kept_between_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "cache" / "store"
    first = run("count", Reader(VideoSettings(4, sampler="mlvu")), tmp_path / "one", store)
    assert list((tmp_path / "cache" / "frames").iterdir())
    monkeypatch.setattr("flagbench.mlvu.clips.read_clip", lambda *_: pytest.fail("decoded again"))
    again = run("count", Reader(VideoSettings(4, sampler="mlvu")), tmp_path / "two", store)
    assert again.files == first.files


def test_the_score_command_needs_neither_model_nor_data(done: Path, tmp_path: Path) -> None:
    result = here("score", "mlvu", done, "--json", tmp_path / "scores.json")
    assert result.returncode == 0, result.stderr
    (scores,) = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")).values()
    tasks = tasks_of(done)
    for name in CHOICES:
        its = scores["tasks"][f"MLVU-dev_{name}"]
        assert its["official_accuracy"] == tasks[f"MLVU-dev_{name}"]["scores"]["dev"]["as-released"]
    mean = sum(its["official_accuracy"] for its in scores["tasks"].values()) / len(CHOICES)
    assert scores["M-Avg"]["dev"]["official"]["value"] == pytest.approx(mean)
    assert "M-Avg (dev), official" in result.stdout
    assert "exists already" in one_line(here("score", "mlvu", done, "--json", tmp_path / "scores.json"))


def test_pages_mark_the_miniature_and_say_that_open_tasks_are_not_judged_yet(done: Path, tmp_path: Path) -> None:
    assert here("report", done, "--html", tmp_path / "r.html").returncode == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "MLVU mini M-Avg (dev)" in page
    assert "no score, the answers are kept and not judged yet" in page
    assert "the data has no labels" not in page
    assert "8 asked, 8 answered by the model in this run" in page
    assert "encoded by the model" not in page
    board = Leaderboard(done, "en", benchmarks).page()
    assert "miniature data" in board
    assert "No run is over full data yet." in board
    line = "not judged yet: MLVU-dev_subPlot, MLVU-dev_summary; --judge MODEL judges them"
    assert line in here("score", "mlvu", done).stdout.splitlines()


def test_there_is_no_average_of_some_tasks(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--tasks", "plotQA,ego")
    assert result.returncode == 0, result.stderr
    assert "2 of 7 tasks" in result.stderr
    scored = here("score", "mlvu", tmp_path)
    assert "blank while a task is missing or partial" in scored.stdout


def test_what_is_finished_is_skipped_and_other_settings_run_again(done: Path, tmp_path: Path) -> None:
    output = shutil.copytree(done, tmp_path / "run")
    assert evaluate(output).stderr.count("finished before with the same settings, skipped") == 9
    result = evaluate(output, "--tasks", "ego", "--questions", "cleaned")
    assert result.returncode == 0, result.stderr
    assert "settings differ: task.subsets" in result.stderr
    assert tasks_of(output)["MLVU-dev_ego"]["scores"]["dev"].keys() == {"cleaned"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the miniature data that may be damaged."""
    return shutil.copytree(MINI, tmp_path / "data")


def test_missing_and_broken_videos_are_told_before_anything_runs(data: Path, tmp_path: Path) -> None:
    videos = sorted((data / "MLVU" / "MVLU" / "video" / "4_count").iterdir())
    videos[0].unlink()
    videos[1].write_bytes(videos[1].read_bytes()[:500])
    model = Reader(VideoSettings(2, sampler="mlvu"))
    with pytest.raises(BadData) as caught:
        run("count", model, tmp_path / "journal", data=data)
    line = str(caught.value)
    assert f"2 of {len(videos)} videos cannot be used" in line
    assert f"1 missing (video/4_count/{videos[0].name})" in line
    assert line.endswith("fetch them, or use --allow-missing for partial scores")
    assert not model.asked
    outcome = run("count", model, tmp_path / "journal", data=data, allow_missing=True)
    assert outcome.partial
    assert outcome.scores == {"dev": {"as-released": 1.0}}
    assert outcome.note.startswith(f"partial: 2 of {len(videos)} videos cannot be used")
    assert 0 < len(model.asked) < 8


def test_a_blind_run_needs_no_videos(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "MLVU" / "MVLU" / "video")
    result = here(
        *("evaluate", FIRST, "--benchmark", "mlvu", "--data", data, "--output", tmp_path / "o", "--blind"),
        *("--types", "multiple-choice"),
    )
    assert result.returncode == 0, result.stderr


def test_a_model_of_texts_answers_blind_alone(tmp_path: Path) -> None:
    model = write_causal(tmp_path / "tiny-llama", "llama")
    line = one_line(evaluate(tmp_path / "out", "--tasks", "ego", model=model))
    assert "is a text model (LlamaForCausalLM) and sees no videos" in line
    assert line.endswith("or --blind, which shows none")
    flags = ["--max-new-tokens", "8"]
    runs = [
        evaluate(
            tmp_path / f"out-{size}", "--tasks", "ego,summary", "--blind", *flags, "--batch-size", size, model=model
        )
        for size in ("1", "4")
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    found = [
        [path.read_bytes() for path in sorted((tmp_path / f"out-{size}").glob("*/*/MLVU/dev/*.json"))]
        for size in (1, 4)
    ]
    assert len(found[0]) == 2
    assert found[0] == found[1]
    dry = here("score", "mlvu", tmp_path / "out-1", "--judge", model, "--dry-run")
    assert "3 calls of local/tiny-llama" in dry.stdout, dry.stderr


# Bad input.


def test_a_text_embedder_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    line = one_line(evaluate(tmp_path / "out", model=tiny_bert))
    assert "sees no videos" in line
    assert not (tmp_path / "out").exists()


def test_a_video_baseline_is_refused_by_other_benchmarks(tmp_path: Path) -> None:
    line = one_line(here("evaluate", FIRST, "--mini", "--output", tmp_path / "out"))
    assert line.endswith(
        "answers questions on videos and gives no vectors or scores of texts: choose a benchmark that asks questions"
    )


def test_a_question_file_with_a_missing_field_is_one_line(data: Path, tmp_path: Path) -> None:
    path = data / "MLVU" / "MVLU" / "json" / "3_ego.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    del rows[2]["candidates"]
    path.write_text(json.dumps(rows), encoding="utf-8")
    line = one_line(
        here("evaluate", FIRST, "--benchmark", "mlvu", "--tasks", "ego", "--data", data, "--output", tmp_path / "o")
    )
    assert "3_ego.json: row 2 (from 0) has no candidates" in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--frames", "0"], "argument --frames: expected a whole number above 0"),
        (["--fps", "2"], "--fps needs --sampler fps"),
        (["--blind", "--frames", "4"], "--blind shows no frames"),
        (["--tasks", "plotQ"], "unknown task 'plotQ'; did you mean plotQA"),
        (["--sets", "train"], "unknown set 'train'"),
        (["--sets", "test"], "--mini has the dev set alone"),
        (["--reranker", "flagbench/random-reranker"], "--reranker re-ranks passages"),
        (["--domains", "law"], "--domains belongs to --benchmark mteb or air-bench"),
        (["--api-base", "http://127.0.0.1:9/v1", "--dtype", "bf16"], "are the server's affair"),
    ],
)
def test_a_wrong_choice_is_one_line(tmp_path: Path, flags: list[str], said: str) -> None:
    assert said in one_line(evaluate(tmp_path / "out", *flags))
    assert not (tmp_path / "out").exists()


def test_flags_of_mlvu_are_refused_elsewhere(tmp_path: Path) -> None:
    line = one_line(here("evaluate", "flagbench/random", "--mini", "--frames", "8", "--output", tmp_path))
    assert line == "flagbench: --frames belongs to --benchmark mlvu: drop it, or choose that benchmark"


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--api-base", "http://127.0.0.1:9/v1", model="some-model")
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("flagbench: no server answers at http://127.0.0.1:9/v1")


def test_a_folder_without_answers_is_one_line(tmp_path: Path) -> None:
    assert "holds no answers to MLVU" in one_line(here("score", "mlvu", tmp_path))
    assert "holds no answers to MLVU" in one_line(here("submit", "mlvu", tmp_path, "--output", tmp_path / "x.json"))


def test_a_damaged_file_of_answers_is_one_line(done: Path, tmp_path: Path) -> None:
    output = shutil.copytree(done, tmp_path / "run")
    (path,) = output.glob("*/*/MLVU/dev/ego.json")
    path.write_text(path.read_text(encoding="utf-8")[:300], encoding="utf-8")
    assert "ego.json is not JSON" in one_line(here("score", "mlvu", output))


def test_validate_says_what_is_odd_about_the_questions(data: Path) -> None:
    path = data / "MLVU" / "MVLU" / "json" / "3_ego.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    rows[2]["question"] = " " + rows[2]["question"]
    rows[3]["answer"] = "none of them"
    path.write_text(json.dumps(rows), encoding="utf-8")
    result = here("validate", FIRST, "--benchmark", "mlvu", "--tasks", "ego", "--data", data)
    assert result.returncode == 0, result.stderr
    said = "MLVU-dev_ego: 5 odd questions (blanks around the question 5, answer not among candidates 1)"
    assert said in result.stdout


@pytest.fixture
def test_set(tmp_path: Path) -> Path:
    """Two questions of the test set, of one task, without their answers."""
    folder = tmp_path / "data" / "MLVU" / "MLVU_Test"
    folder.mkdir(parents=True)
    rows = [
        {
            "question_id": f"TR_{number}",
            "question_type": "topic_reasoning",
            "video": f"test_{number}.mp4",
            "question": f"What is it number {number} about?",
            "candidates": [f"thing {option}" for option in range(6)],
        }
        for number in range(2)
    ]
    (folder / "test_multi_choice_tasks.json").write_text(json.dumps(rows), encoding="utf-8")
    return tmp_path / "data"


def test_the_test_set_is_answered_and_submitted_not_scored(test_set: Path, tmp_path: Path) -> None:
    choice = ["--benchmark", "mlvu", "--sets", "test", "--tasks", "topic_reasoning", "--data", test_set]
    result = here("evaluate", FIRST, *choice, "--output", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    (task,) = tasks_of(tmp_path / "run").values()
    assert task["note"] == (
        "no labels in the data; flagbench score mlvu --data adds them, flagbench submit mlvu writes predictions"
    )
    scored = here("score", "mlvu", tmp_path / "run")
    assert "without labels, not scored: MLVU-test_topic_reasoning" in scored.stdout
    target = tmp_path / "predictions.json"
    submit = ["submit", "mlvu", tmp_path / "run", "--output", target]
    line = one_line(here(*submit))
    assert "--allow-partial" in line
    assert not target.exists()
    result = here(*submit, "--allow-partial")
    assert result.returncode == 0, result.stderr
    assert "PARTIAL" in result.stdout
    assert json.loads(target.read_text(encoding="utf-8")) == [
        {"question_id": f"TR_{number}", "question_type": "topic_reasoning", "option": "A"} for number in range(2)
    ]
    before = target.read_bytes()
    assert "exists already" in one_line(here(*submit, "--allow-partial"))
    assert target.read_bytes() == before
