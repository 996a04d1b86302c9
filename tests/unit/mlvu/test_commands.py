"""``flagbench score mlvu`` and ``flagbench submit mlvu``: how the judge is loaded, and each line that is printed."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.mlvu import commands
from flagbench.mlvu.criteria import SYSTEM
from flagbench.mlvu.find_model import ServerModel, server_model
from flagbench.mlvu.judgements import JudgeItem
from flagbench.mlvu.loading import Question
from flagbench.mlvu.registry import averaged, find
from flagbench.mlvu.saved import Saved
from flagbench.models.loading.overrides import Overrides
from flagbench.models.servers.chat_model import ApiModel
from flagbench.models.servers.http import RateLimit
from flagbench.models.video import VideoSettings
from flagbench.results.data_state import DataState
from flagbench.runners.generation.server_options import ServerLimits
from tests.fake_server import FakeServer

URL = "http://127.0.0.1:9/v1"
_OPTIONS = ("one", "two", "three", "four", "five", "six")


def options(add: Any, *arguments: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args(list(map(str, arguments)))


def ran(add: Any, *arguments: str | Path) -> None:
    given = options(add, *arguments)
    assert given.run(given) == 0


def question(task: str, id_: str, **other: Any) -> Question:
    row = find(task)
    values: dict[str, Any] = {
        "id": id_,
        "task": task,
        "video": "a.mp4",
        "folder": row.video_folder,
        "question": f"What is {id_}?",
        "candidates": (),
        "answer": f"It is {id_}.",
        "gold": "",
        "golds": (),
        "labelled": True,
        "points": (),
        "duration": 9.0,
    }
    return Question(**values | other)


def keep(root: Path, task: str, questions: list[Question], answers: dict[str, str]) -> Path:
    """The folder of a run with these answers."""
    row, folder = find(task), root / "org__m" / ("0" * 40)
    path = folder / "MLVU" / row.set / f"{row.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = Saved(row, "as-released", tuple(questions), answers, "", DataState.OFFICIAL)
    path.write_text(saved.to_json(), encoding="utf-8")
    return folder


SCENES = [
    question("MLVU-dev_subPlot", "8:0", points=("She sings", "on a boat")),
    question("MLVU-dev_subPlot", "8:1", points=("One",)),  # without an answer of the model
    question("MLVU-dev_subPlot", "8:2", points=("One",), labelled=False, answer=""),
]
SUMMARIES = [question("MLVU-dev_summary", "9:0")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Answers to open questions, and to others, which nobody judges."""
    choices = [question("MLVU-dev_ego", "3:0", candidates=("a", "b"), answer="a", gold="A", golds=("A",))]
    keep(tmp_path / "out", "MLVU-dev_ego", choices, {"3:0": "A)"})
    keep(tmp_path / "out", "MLVU-dev_summary", SUMMARIES, {"9:0": "A dog."})
    return keep(tmp_path / "out", "MLVU-dev_subPlot", SCENES, {"8:0": "Sings.", "8:2": "Sings."})


def test_only_answers_to_open_questions_with_references_are_judged(run: Path) -> None:
    from flagbench.mlvu.saved import find_saved, read_saved

    saved = [read_saved(path) for paths in find_saved(run).values() for path in paths]
    assert sorted(commands._items(saved, "dev"), key=lambda item: item.id) == [
        JudgeItem("8:0", "subPlot", "What is 8:0?", "It is 8:0.", ("She sings", "on a boat"), "Sings."),
        JudgeItem("9:0", "summary", "What is 9:0?", "It is 9:0.", (), "A dog."),
    ]
    assert commands._items(saved, "test") == []


def test_a_dry_run_says_what_judging_would_cost_and_asks_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = run / "scores.json"
    ran(commands.add_score, run, "--judge", "j", "--judge-base", URL, "--dry-run", "--json", target)
    material = [
        {"question": "What is 8:0?", "scoring_points": ["She sings", "on a boat"], "answer": "Sings."},
        {"question": "What is 9:0?", "reference": "It is 9:0.", "answer": "A dog."},
    ]
    texts = [
        (SYSTEM[task], json.dumps(its, indent=1)) for task, its in zip(("subPlot", "summary"), material, strict=True)
    ]
    prompts = sum(math.ceil(len(text) / 4) for pair in texts for text in pair)
    replies = ['{"scores": {"points": [1, 1], "relevance": 1}}', '{"scores": {"completeness": 1, "reliability": 1}}']
    assert capsys.readouterr().out == (
        f"{run}: 2 calls of api/j, about {prompts:,} tokens of prompts and "
        f"{sum(math.ceil(len(each) / 4) for each in replies)} of replies (4 characters a token); 0 items are judged "
        "already\n"
    )
    assert not target.exists()
    assert not (run / "flagbench").exists()


def test_what_is_written_is_the_scores_and_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "scores.json"
    ran(commands.add_score, tmp_path / "out", "--json", target)
    assert capsys.readouterr().out.endswith(f"\nwritten   {target}\n")
    text = target.read_text(encoding="utf-8")
    (plain,) = json.loads(text).values()
    assert list(plain["tasks"]) == ["MLVU-dev_ego"]
    assert text == json.dumps({"org/m@00000000": plain}, ensure_ascii=False, indent=1) + "\n"
    target.write_text("old", encoding="utf-8")
    ran(commands.add_score, tmp_path / "out", "--json", target, "--overwrite")
    assert target.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("flags", [["--judge-base", URL], ["--dry-run"]])
def test_flags_of_the_judge_need_one(run: Path, flags: list[str]) -> None:
    with pytest.raises(BadInput, match=r"^--judge-base and --dry-run need --judge MODEL$"):
        ran(commands.add_score, run, *flags)


@pytest.mark.parametrize(("flags", "concurrency"), [([], 4), (["--concurrency", "9"], 9)])
def test_a_judge_on_a_server_sees_nothing_and_is_asked_so_often(
    flags: list[str], concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[ServerModel] = []
    monkeypatch.setattr(ServerModel, "load", lambda self, **_: loaded.append(self) or "loaded")
    given = options(commands.add_score, "x", "--judge", "j", "--judge-base", URL, *flags)
    assert commands._judge_model(given) == "loaded"
    (model,) = loaded
    assert model.limits == ServerLimits(concurrency=concurrency)
    assert (model.spec.name, model.spec.revision) == ("api/j", "server")
    assert model.evidence == (
        f"server: {URL}, which does not say which weights it runs",
        "key: none (FLAGBENCH_API_KEY is not set)",
    )
    seen = VideoSettings(frames=0, prompt="no-prefill", sampler="mlvu").as_dict()
    assert seen.items() <= model.spec.as_dict().items()


def test_a_judge_that_its_server_does_not_list_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FakeServer()
    server.models = ["other"]
    try:
        commands._judge_model(options(commands.add_score, "x", "--judge", "j", "--judge-base", server.url)).close()
    finally:
        server.close()
    assert "does not list j; it has other" in " ".join(capsys.readouterr().err.split())


def test_a_judge_of_files_is_loaded_as_a_model_that_reads_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No code of its own runs and no pickle is read: nobody was asked for leave."""
    given: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    blind = VideoSettings(frames=0, prompt="no-prefill", sampler="mlvu")

    def resolve(model: str, revision: str | None, settings: VideoSettings, overrides: Any, **more: Any) -> Any:
        given.update(more, model=model, revision=revision, settings=settings, overrides=overrides)
        return SimpleNamespace(spec="spec", load=lambda **arguments: asked.update(arguments) or "loaded")

    monkeypatch.setattr("flagbench.models.loading.resolve.resolve_generator", resolve)
    for device in ("cpu", "cuda:0"):
        monkeypatch.setattr("flagbench.models.device.resolve_device", lambda wanted, device=device: device)
        assert commands._judge_model(options(commands.add_score, "x", "--judge", "org/judge")) == "loaded"
        assert given.pop("on_cpu")() == (device == "cpu")
        assert given == {
            "model": "org/judge",
            "revision": None,
            "settings": blind,
            "overrides": Overrides(),
            "trust_remote_code": False,
            "allow_pickle": False,
        }
        assert asked == {"device": device, "batch_size": None, "trust_remote_code": False, "allow_pickle": False}
    dry: Any = commands._judge_model(options(commands.add_score, "x", "--judge", "org/judge", "--dry-run"))
    assert dry.spec == "spec"
    with pytest.raises(BadInput, match="a dry run asks nothing"):
        dry.answers([], max_new_tokens=1)


def test_a_server_is_asked_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[ApiModel] = []
    monkeypatch.setattr(ApiModel, "check", lambda self: checks.append(self))
    blind = VideoSettings(frames=0, prompt="no-prefill", sampler="mlvu")
    limits = ServerLimits(7, 60, request_timeout=33.0, body_timeout=5.0, reply_size=1_000)
    model: Any = server_model("m", URL, blind, limits=limits).load()
    assert checks == [model]
    assert model._client._rate_limit == RateLimit(7, 60.0, timeout=33.0, body_timeout=5.0, largest_reply=1_000)
    model.close()
    plain: Any = server_model("m", URL, blind, limits=ServerLimits()).load()
    assert plain._client._rate_limit == RateLimit()
    plain.close()


# Submission.


def predicted(root: Path, answers: dict[str, str], task: str = "MLVU-test_topic_reasoning", count: int = 91) -> Path:
    row = find(task)
    questions = [
        question(task, f"{row.file}_{at}", candidates=_OPTIONS, answer="", labelled=False) for at in range(count)
    ]
    return keep(root, task, questions, answers)


def test_what_is_submitted_is_said_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = predicted(tmp_path / "out", {f"TR_{at}": "B)" if at else "I cannot tell" for at in range(90)})
    predicted(tmp_path / "out", {"AR_0": "A)"}, "MLVU-test_anomaly_reco", 1)
    keep(tmp_path / "out", "MLVU-dev_ego", [], {})  # of the dev set: no part of it
    target = tmp_path / "predictions.json"
    ran(commands.add_submit, tmp_path / "out", "--output", target, "--allow-partial")
    left = {row.name: row.rows for row in averaged("test")}
    others = [(name, rows) for name, rows in left.items() if name not in ("topic_reasoning", "anomaly_reco")]
    assert capsys.readouterr().out.splitlines() == [
        f"results   {folder}",
        f"written   {target}, 90 predictions",
        "PARTIAL   1 of 92 questions have no answer: TR_90",
        "PARTIAL   1 answer names no option, or more than one: TR_0",
        "PARTIAL   8 tasks do not have all published questions: MLVU-test_anomaly_reco (1 of 39), "
        + ", ".join(f"MLVU-test_{name} (0 of {rows})" for name, rows in others),
    ]
    assert len(json.loads(target.read_text(encoding="utf-8"))) == 90


def test_a_run_over_the_dev_set_has_nothing_to_submit(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        ran(commands.add_submit, run, "--output", tmp_path / "x.json")
    assert str(caught.value) == (
        f"{run} has no answers to the test set: flagbench evaluate --benchmark mlvu --sets test"
    )


def test_one_of_several_runs_is_to_be_named(tmp_path: Path) -> None:
    first, second = (predicted(tmp_path / name, {"TR_0": "A)"}) for name in ("a", "b"))
    with pytest.raises(BadInput) as caught:
        ran(commands.add_submit, tmp_path, "--output", tmp_path / "x.json")
    assert str(caught.value) == f"{tmp_path} holds several runs; name one of {first}, {second}"
    assert not (tmp_path / "x.json").exists()


def test_predictions_go_to_the_folder_at_hand_unless_said_otherwise() -> None:
    given = options(commands.add_submit, "run")
    assert (given.output, given.allow_partial, given.overwrite) == (Path("mlvu_test.json"), False, False)
