"""What a model is asked on MLVU and how, what is kept of its answers, and what is read of them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput, ModelFault
from flagbench.mlvu.benchmark import MINI, MLVU, settings_of
from flagbench.mlvu.options import MlvuOptions
from flagbench.mlvu.registry import averaged
from flagbench.mlvu.report import RunScores, as_dict
from flagbench.mlvu.saved import Saved, find_saved, read_saved
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from flagbench.models.prompts import Prompt, batches
from flagbench.models.video import VideoSettings
from flagbench.results.values import Values
from flagbench.runners.benchmark import DataVerdict, EvaluatedModel, Loaded, Outcome
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest


class QueryWeights:
    """Answers B to all, and notes what it is asked."""

    capabilities = frozenset({"generate"})
    device = "cpu"
    backend = "none"
    lanes = 1

    def __init__(self, settings: VideoSettings, batch_size: int = 1) -> None:
        self.spec = replace(published()["flagbench/first-letter"], own=settings)
        self.batch_size = batch_size
        self.calls: list[int] = []
        self.tokens: set[int] = set()
        self.prompts: list[Prompt] = []

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
        self.tokens.add(max_new_tokens)
        for batch in batches(prompts, lambda: self.batch_size):
            self.calls.append(len(batch))
            self.prompts += [prompt for _, prompt in batch]
            yield from ((index, "B) it is") for index, _ in batch)

    def score_options(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], **_: Any) -> list[Any]:
        self.calls.append(len(prompts))
        self.prompts += prompts
        return [np.array([-3.0, -2.0, -0.5, -1.0][: len(letters)]) for letters in options]


def loaded(name: str, **asked: Any) -> Loaded:
    request = RunRequest("m", "mlvu", tasks=(name,), mini=True, options=MlvuOptions(**asked))
    (task,) = MLVU.select(request)
    return MLVU.load(task, Snapshots(MINI), request)


def run(name: str, model: QueryWeights, folder: Path, **asked: Any) -> tuple[Loaded, Outcome]:
    data = loaded(name, **asked)
    return data, MLVU.evaluate(data, EvaluatedModel(model, journal=folder / "j", digest="d"), Silent(), None)  # type: ignore[arg-type]


BLIND = VideoSettings(0, sampler="mlvu")


@pytest.mark.parametrize(
    ("name", "settings", "tokens"),
    [
        ("ego", BLIND, 16),
        ("summary", BLIND, 512),
        ("subPlot", BLIND, 512),
        ("ego", replace(BLIND, max_new_tokens=7), 7),
        ("summary", replace(BLIND, max_new_tokens=7), 7),
    ],
)
def test_how_long_an_answer_may_be(name: str, settings: VideoSettings, tokens: int, tmp_path: Path) -> None:
    model = QueryWeights(settings)
    run(name, model, tmp_path)
    assert model.tokens == {tokens}


@pytest.mark.parametrize(("batch_size", "calls"), [(1, [1] * 8), (3, [3, 3, 2]), (4, [4, 4]), (8, [8]), (20, [8])])
def test_questions_are_asked_in_batches_and_none_is_lost(batch_size: int, calls: list[int], tmp_path: Path) -> None:
    model = QueryWeights(BLIND, batch_size)
    data, outcome = run("ego", model, tmp_path)
    assert model.calls == calls
    assert [each.text.splitlines()[0] for each in model.prompts] == [
        f"Question: {each.question}" for each in data.content.questions
    ]
    assert outcome.texts["answered"] == outcome.texts["asked"] == 8
    right = [each.gold == "B" for each in data.content.questions]
    assert outcome.scores == {"dev": {"as-released": sum(right) / 8}}
    values = Values.from_json(outcome.files[Values.file("MLVU-dev_ego")], {}).of("official")
    assert list(values.values()) == [float(each) for each in right]


def test_the_likeliest_option_is_the_answer(tmp_path: Path) -> None:
    data, outcome = run("ego", QueryWeights(replace(BLIND, answer="options"), 3), tmp_path)
    assert outcome.scores["dev"]["as-released"] == np.mean([each.gold == "C" for each in data.content.questions])
    (text,) = (text for name, text in outcome.files.items() if name.startswith("MLVU/"))
    assert text.count('"response": "C)"') == 8


def test_open_questions_have_no_options(tmp_path: Path) -> None:
    model = QueryWeights(replace(BLIND, answer="options"))
    _, outcome = run("summary", model, tmp_path)
    assert model.tokens == {512}
    assert outcome.scores == {}


def test_a_model_that_gives_fewer_answers_than_questions_is_at_fault(tmp_path: Path) -> None:
    class Short(QueryWeights):
        def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
            found = super().answers(prompts, max_new_tokens=max_new_tokens)
            next(found)
            yield from found

    with pytest.raises(ModelFault, match="gave 7 answers to 8 questions"):
        run("ego", Short(BLIND, 3), tmp_path)


def test_questions_without_a_video_make_it_partial(tmp_path: Path) -> None:
    data = loaded("ego")
    content = data.content
    videos = {each.id: content.videos[each.id] for each in content.questions[:3]}
    data = replace(data, content=replace(content, videos=videos, missing="5 are missing"))
    blind = MLVU.evaluate(data, EvaluatedModel(QueryWeights(BLIND), journal=tmp_path / "a", digest="d"), Silent(), None)  # type: ignore[arg-type]
    assert (blind.partial, blind.texts["asked"]) == (False, 8)
    seeing = EvaluatedModel(QueryWeights(VideoSettings(4, sampler="mlvu")), journal=tmp_path / "b", digest="d")  # type: ignore[arg-type]
    outcome = MLVU.evaluate(data, seeing, Silent(), None)
    assert (outcome.partial, outcome.texts["asked"]) == (True, 3)
    assert outcome.note.startswith("partial: 5 are missing; robust ")
    right = [each.gold == "B" for each in content.questions[:3]]
    assert outcome.scores == {"dev": {"as-released": sum(right) / 3}}, "of those that were answered"


@pytest.mark.parametrize(("own", "journal"), [(None, True), (BLIND, False)], ids=["no settings", "no journal"])
def test_a_model_that_answers_no_questions_is_refused(own: VideoSettings | None, journal: bool, tmp_path: Path) -> None:
    model: Any = QueryWeights(BLIND)
    model.spec = replace(model.spec, own=own)
    evaluated = EvaluatedModel(model, journal=tmp_path / "j" if journal else None, digest="d")
    with pytest.raises(BadInput, match=r"^flagbench/first-letter answers no questions on videos$"):
        MLVU.evaluate(loaded("ego"), evaluated, Silent(), None)
    assert model.calls == []


# What flags come to.


@pytest.mark.parametrize(
    ("request_", "settings"),
    [
        (MlvuOptions(), VideoSettings(16, sampler="mlvu")),
        (MlvuOptions(frames=3), VideoSettings(3, sampler="mlvu")),
        (MlvuOptions(sampler="uniform"), VideoSettings(16, "uniform")),
        (MlvuOptions(sampler="fps"), VideoSettings(64, "fps", 1.0)),
        (MlvuOptions(sampler="fps", fps=0.5, frames=9), VideoSettings(9, "fps", 0.5)),
        (MlvuOptions(max_pixels=100), VideoSettings(16, max_pixels=100, sampler="mlvu")),
        (MlvuOptions(blind=True), VideoSettings(0, sampler="mlvu")),
        (MlvuOptions(prompt_variant="no-prefill"), VideoSettings(16, prompt="no-prefill", sampler="mlvu")),
        (MlvuOptions(api_base="http://h/v1"), VideoSettings(16, prompt="no-prefill", sampler="mlvu")),
        (MlvuOptions(api_base="http://h/v1", prompt_variant="official"), VideoSettings(16, sampler="mlvu")),
        (MlvuOptions(answer="options"), VideoSettings(16, answer="options", sampler="mlvu")),
        (MlvuOptions(max_new_tokens=5), VideoSettings(16, max_new_tokens=5, sampler="mlvu")),
    ],
)
def test_the_settings_that_flags_come_to(request_: MlvuOptions, settings: VideoSettings) -> None:
    assert settings_of(request_) == settings


@pytest.mark.parametrize(("asked", "limits"), [({}, (4, None)), ({"concurrency": 9, "requests_a_minute": 60}, (9, 60))])
def test_how_a_server_is_asked(asked: dict[str, Any], limits: tuple[int, int | None]) -> None:
    def found(**more: Any) -> Any:
        options = MlvuOptions(api_base="http://127.0.0.1:9/v1", **asked, **more)
        return MLVU.model(RunRequest("m", "mlvu", revision="r7", options=options), lambda: True)

    model = found()
    assert (model.limits.concurrency, model.limits.requests_a_minute) == limits
    assert (model.spec.name, model.spec.revision) == ("api/m", "r7")
    others = [found(frames_as="video_url"), found(api_extra='{"top_k": 1}'), found(frames=3)]
    assert len({str(each.spec.as_dict()) for each in (model, *others)}) == 4


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_more_fields_of_a_request_are_an_object(text: str) -> None:
    options = MlvuOptions(api_base="http://127.0.0.1:9/v1", api_extra=text)
    with pytest.raises(BadInput, match=r"--api-extra is not (JSON|a JSON object)"):
        MLVU.model(RunRequest("m", "mlvu", options=options), lambda: True)


@pytest.mark.parametrize(
    "more",
    [{"overrides": Overrides(dtype="fp16")}, {"overrides": Overrides(adapters=("a",))}, {"batch_size": 4}],
    ids=str,
)
def test_what_a_server_decides_is_not_asked_for(more: dict[str, Any]) -> None:
    options = MlvuOptions(api_base="http://127.0.0.1:9/v1")
    with pytest.raises(BadInput, match="--dtype, --adapter and --batch-size are the server's affair: drop them"):
        MLVU.model(RunRequest("m", "mlvu", options=options, **more), lambda: True)


# What is read again.


@pytest.mark.parametrize(("status", "comparable"), [("official", True), ("differs", False), ("unknown", False)])
def test_only_the_published_rows_are_comparable(status: Any, comparable: bool, tmp_path: Path) -> None:
    content = replace(loaded("ego").content, verdict=DataVerdict(status, (), ""))
    saved = Saved.of(content, {each.id: "A" for each in content.questions[1:]})
    path = tmp_path / "MLVU" / "dev" / "ego.json"
    path.parent.mkdir(parents=True)
    path.write_text(saved.to_json(), encoding="utf-8")
    again = read_saved(path)
    assert again == saved
    assert again.state == status
    assert content.questions[0].id not in again.answers
    scores = RunScores.of(tmp_path, [again], {})
    assert ("MLVU-dev_ego" in scores.comparable) == comparable
    cleaned = RunScores.of(tmp_path, [replace(again, question_set="cleaned")], {})
    assert not cleaned.comparable


@pytest.mark.parametrize(("then", "state"), [(True, "counts agree"), (False, "differs")])
def test_answers_of_earlier_versions_say_whether_the_counts_agree(then: bool, state: str, tmp_path: Path) -> None:
    values = json.loads(Saved.of(loaded("ego").content, {}).to_json())
    del values["data"]
    path = tmp_path / "ego.json"
    path.write_text(json.dumps(values | {"comparable": then}), encoding="utf-8")
    assert read_saved(path).state == state


def test_both_rules_are_told_apart() -> None:
    """``B.`` is read as B by the forgiving rule, and wrong by the official one."""
    contents = [loaded(row.name).content for row in averaged("dev")]
    saved = [Saved.of(each, {question.id: f"{question.gold}." for question in each.questions}) for each in contents]
    (plain,) = as_dict([RunScores.of(Path("a/org__m/rev"), saved, {})]).values()
    for task in plain["tasks"].values():
        assert (task["official_accuracy"], task["robust_accuracy"]) == (0.0, 1.0)
        assert task["official_interval"][0] == 0.0 < task["official_interval"][1] < task["robust_interval"][0]
    assert (plain["M-Avg"]["dev"]["official"]["value"], plain["M-Avg"]["dev"]["robust"]["value"]) == (0.0, 1.0)
    assert plain["M-Avg"]["test"] == {"official": None, "robust": None}


def test_what_was_replaced_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder = tmp_path / "replaced" / "m" / "rev"
    kept = run_folder / "MLVU" / "dev" / "ego.json"
    for path in (kept, run_folder / "flagbench" / "replaced" / "d" / "MLVU" / "dev" / "ego.json"):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    (run_folder / "MLVU" / "other").mkdir()
    (run_folder / "MLVU" / "other" / "ego.json").write_text("{}")
    for root in (tmp_path, run_folder, run_folder / "MLVU", kept.parent):
        assert find_saved(root) == {run_folder: [kept]}, root
        monkeypatch.chdir(root)
        assert [path.resolve() for paths in find_saved(Path()).values() for path in paths] == [kept], root
