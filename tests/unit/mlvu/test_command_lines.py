"""``flagbench score mlvu`` and ``flagbench submit mlvu``: their help, what is refused before any work, what is left."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput, ModelFault
from flagbench.mlvu import commands
from flagbench.mlvu.criteria import SYSTEM
from flagbench.mlvu.find_model import ServerModel
from flagbench.models.prompts import Prompt
from tests.unit.mlvu.test_commands import SCENES, SUMMARIES, URL, keep, options, predicted, question, ran
from tests.unit.mlvu.test_judge import GOOD


def helped(add: Any) -> dict[str, str]:
    """What help says of each argument, by how it is typed."""
    parser = argparse.ArgumentParser(add_help=False)
    add(parser)
    return {" ".join(each.option_strings) or str(each.metavar): str(each.help) for each in parser._actions}


def test_what_help_says() -> None:
    assert helped(commands.add_submit) == {
        "DIR": "folder of one run over the test set",
        "--output": "file to write (default mlvu_test.json)",
        "--allow-partial": "write the file although answers are missing, and list them (default off)",
        "--overwrite": "replace the file if it exists (default off)",
    }
    found = helped(commands.add_score)
    assert list(found) == [
        *("DIR", "--data", "--json", "--overwrite", "--judge", "--judge-base"),
        *("--concurrency", "--requests-a-minute", "--request-timeout", "--body-timeout", "--reply-size", "--dry-run"),
    ]
    assert found["--data"] == (
        "folder of local snapshots, whose DIR/MLVU/MLVU_Test/test-ground-truth/ has the labels of answers to the test "
        "set that were saved without (default: none are added)"
    )
    assert {name: found[name] for name in ("DIR", "--json", "--overwrite", "--judge", "--judge-base", "--dry-run")} == {
        "DIR": "folder with results, of any depth",
        "--json": "file for all scores, with intervals (default: none)",
        "--overwrite": "replace this file if it exists (default off)",
        "--judge": "judge of the open tasks: a model on a server, or a folder or hub id (default none)",
        "--judge-base": "address of the judge's server, up to and with /v1 (default: none, the judge is local)",
        "--dry-run": "show what judging would send, without sending it (default off)",
    }


def test_a_target_that_is_there_is_refused_before_any_answer_is_read(tmp_path: Path) -> None:
    target = tmp_path / "there.json"
    target.write_text("mine", encoding="utf-8")
    for add, flag in ((commands.add_score, "--json"), (commands.add_submit, "--output")):
        with pytest.raises(BadInput, match=r"there\.json exists already"):
            ran(add, tmp_path / "nowhere", flag, target)
        with pytest.raises(BadInput, match=r"nowhere does not exist: name one with answers"):
            ran(add, tmp_path / "nowhere", flag, target, "--overwrite")
    assert target.read_text(encoding="utf-8") == "mine"


def test_a_submission_replaces_a_file_only_when_asked(tmp_path: Path) -> None:
    folder = predicted(tmp_path / "out", {f"TR_{at}": "B)" for at in range(91)})
    target = tmp_path / "predictions.json"
    target.write_text("mine", encoding="utf-8")
    ran(commands.add_submit, folder, "--output", target, "--allow-partial", "--overwrite")
    assert len(json.loads(target.read_text(encoding="utf-8"))) == 91


class Grader:
    """A judge that gives good grades, or stops answering after some; it notes that it was closed."""

    def __init__(self, spec: Any, stops_after: int = 99) -> None:
        self.spec, self.left, self.closed = spec, stops_after, 0

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, str]]:
        for index, prompt in enumerate(prompts):
            if not self.left:
                raise ModelFault("it has gone")
            self.left -= 1
            yield index, GOOD["subPlot" if prompt.system == SYSTEM["subPlot"] else "summary"]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def graders(monkeypatch: pytest.MonkeyPatch) -> list[Grader]:
    """Judges that were loaded; the first in it decides after how many grades they stop."""
    loaded: list[Grader] = []

    def load(self: ServerModel, **_: Any) -> Grader:
        loaded.append(Grader(self.spec, int(self.spec.name.rpartition("-")[2])))
        return loaded[-1]

    monkeypatch.setattr(ServerModel, "load", load)
    return loaded


def answered(root: Path, text: str = "Sings.") -> Path:
    """A run with two answers to open questions."""
    keep(root, "MLVU-dev_summary", SUMMARIES, {"9:0": text})
    return keep(root, "MLVU-dev_subPlot", SCENES[:1], {"8:0": text})


def by(after: int) -> list[str]:
    return ["--judge", f"j-{after}", "--judge-base", URL]


def kept(run: Path) -> list[str]:
    text = (run / "flagbench" / "judgements.jsonl").read_text(encoding="utf-8")
    return sorted(json.loads(line)["id"] for line in text.splitlines())


def test_grades_are_kept_in_each_run_and_the_judge_is_let_go_of(
    tmp_path: Path, graders: list[Grader], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [answered(tmp_path / name, name) for name in ("one", "two")]
    ran(commands.add_score, *(tmp_path / name for name in ("one", "two")), *by(99))
    assert [kept(run) for run in runs] == [["8:0", "9:0"]] * 2
    (grader,) = graders
    assert (grader.left, grader.closed) == (95, 1)
    assert capsys.readouterr().out.count("SSC 7.00, VS 7.00, G-Avg 7.00") == 2
    ran(commands.add_score, tmp_path / "one", *by(99), "--dry-run")
    assert capsys.readouterr().out == (
        f"{runs[0]}: 0 calls of api/j-99, about 0 tokens of prompts and 0 of replies (4 characters a token); 2 items "
        "are judged already\n"
    )
    assert len(graders) == 1, "a dry run loads no judge"


def test_a_judge_that_stops_is_let_go_of_and_its_grades_stay(tmp_path: Path, graders: list[Grader]) -> None:
    run = answered(tmp_path)
    with pytest.raises(ModelFault, match="it has gone"):
        ran(commands.add_score, run, *by(1), "--json", tmp_path / "x.json")
    assert [each.closed for each in graders] == [1]
    assert len(kept(run)) == 1
    assert not (tmp_path / "x.json").exists()


def test_grades_go_to_no_file_outside_the_run(tmp_path: Path, graders: list[Grader]) -> None:
    run = answered(tmp_path / "out")
    (run / "flagbench").mkdir()
    link = run / "flagbench" / "judgements.jsonl"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput) as caught:
        ran(commands.add_score, run, *by(99))
    assert str(caught.value) == f"{link} is a link that leads out of {run}: remove the link"
    assert not (tmp_path / "elsewhere").exists()
    assert [each.closed for each in graders] == [1]


@pytest.mark.parametrize("broken", [True, False], ids=["a damaged record", "a link to none"])
def test_a_record_that_is_there_must_be_readable(broken: bool, tmp_path: Path) -> None:
    run = answered(tmp_path / "out")
    (run / "flagbench").mkdir()
    record = run / "flagbench" / "run.json"
    if broken:
        record.write_text("{", encoding="utf-8")
    else:
        record.symlink_to(tmp_path / "none")
    with pytest.raises(BadInput, match=r"flagbench/run\.json "):
        ran(commands.add_score, run)


def test_of_several_runs_each_has_its_scores(tmp_path: Path) -> None:
    right = question("MLVU-dev_ego", "3:0", candidates=("a", "b"), answer="a", gold="A", golds=("A",))
    keep(tmp_path / "a", "MLVU-dev_ego", [right], {"3:0": "A)"})
    other = keep(tmp_path / "b", "MLVU-dev_ego", [right, replace(right, id="3:1")], {"3:0": "B)", "3:1": "A)"})
    other.rename(other.with_name("1" * 40))
    ran(commands.add_score, tmp_path / "a", tmp_path / "b", "--json", tmp_path / "x.json")
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert {run: each["tasks"]["MLVU-dev_ego"]["official_accuracy"] for run, each in found.items()} == {
        "org/m@00000000": 1.0,
        "org/m@11111111": 0.5,
    }


def test_several_runs_of_one_label_are_all_in_the_file(tmp_path: Path) -> None:
    right = question("MLVU-dev_ego", "3:0", candidates=("a", "b"), answer="a", gold="A", golds=("A",))
    runs = [keep(tmp_path / name, "MLVU-dev_ego", [right], {"3:0": f"{name}) it is"}) for name in "AB"]
    ran(commands.add_score, *runs, "--json", tmp_path / "x.json")
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert {run: each["tasks"]["MLVU-dev_ego"]["official_accuracy"] for run, each in found.items()} == {
        str(runs[0]): 1.0,
        str(runs[1]): 0.0,
    }


def test_what_is_not_given_is_off() -> None:
    given = options(commands.add_score, "a", "b")
    assert given.paths == [Path("a"), Path("b")]
    assert [given.json, given.overwrite, given.judge, given.judge_base, given.dry_run] == [
        None,
        False,
        None,
        None,
        False,
    ]
