"""``flagbench submit mteb`` as a user types it, after runs over the miniature data and over the real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mteb
import pytest
from huggingface_hub import ModelCard

from flagbench.runners.commands.cli import main
from tests.e2e.commands import here, loaded_by, one_line

NAMED = ("--model-name", "org/tiny", "--revision", "0123456789abcdef0123456789abcdef01234567")


def test_the_help_needs_no_mteb() -> None:
    modules, out = loaded_by("submit", "mteb", "--help")
    assert not {"torch", "mteb", "transformers", "datasets", "huggingface_hub", "numpy"} & modules
    assert "--allow-partial" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "cmteb", "out"], "unknown benchmark 'cmteb'; did you mean mteb?"),
        (["submit", "mteb"], "the following arguments are required: RUN"),
        (["submit", "mteb", "no-such-folder"], "no-such-folder does not exist"),
        (["submit", "mteb", "docs"], "docs holds no runs"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str) -> None:
    assert said in one_line(here(*arguments))


@pytest.fixture
def submit(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, since reading mteb's benchmarks takes seconds; its exit code and output."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as leave:
            main(["submit", "mteb", *map(str, arguments)])
        said = capfd.readouterr()
        assert isinstance(leave.value.code, int)
        return leave.value.code, said.out, said.err

    return run


def refusal(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("flagbench: ")
    return line


def test_a_run_over_the_miniature_data_is_refused(
    tiny_bert: Path, tmp_path: Path, submit: Callable[..., tuple[int, str, str]]
) -> None:
    ran = here(
        "evaluate", tiny_bert, "--mini", "--tasks", "STSB,LCQMC", "--output", tmp_path / "out", "--device", "cpu"
    )
    assert ran.returncode == 0, ran.stderr
    before = sorted(tmp_path.rglob("*"))
    for more in ([], ["--allow-partial"]):
        line = refusal(
            submit(tmp_path / "out", *NAMED, "--output", tmp_path / "made", "--model-card", tmp_path / "card.md", *more)
        )
        assert "nothing to submit: 2 tasks ran over what is not the official data: LCQMC, STSB" in line
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_over_real_rows(
    tiny_bert: Path, tmp_path: Path, shared_data: Path, submit: Callable[..., tuple[int, str, str]]
) -> None:
    out, made, card = tmp_path / "out", tmp_path / "made", tmp_path / "card.md"
    ran = here(*("evaluate", tiny_bert, "--tasks", "STSB", "--data", shared_data, "--output", out, "--device", "cpu"))
    assert ran.returncode == 0, ran.stderr
    assert "--model-name org/name and --revision COMMIT" in refusal(submit(out))
    command = (out, *NAMED, "--output", made)
    assert "30 of 31 tasks of MTEB(cmn, v1) are missing" in refusal(submit(*command))
    assert not made.exists()
    code, said, _ = submit(*command, "--allow-partial", "--model-card", card)
    assert code == 0
    for line in (
        "PARTIAL   30 of 31 tasks of MTEB(cmn, v1)",
        "by hand   fill in, in model_meta.json: release_date, languages",
        f"see that {NAMED[3]} is a commit of https://huggingface.co/org/tiny",
        "add org/tiny to mteb",
    ):
        assert line in said
    (model,) = mteb.ResultCache(made).load_results(include_remote=False).model_results
    assert (model.model_name, model.model_revision) == (NAMED[1], NAMED[3])
    (result,) = model.task_results
    (run_file,) = out.rglob("run.json")
    recorded = json.loads(run_file.read_text(encoding="utf-8"))["tasks"]["STSB"]["scores"]["test"]["default"]
    assert result.get_score() == pytest.approx(recorded, abs=5e-7)
    data = ModelCard.load(card).data
    assert data.eval_results is not None
    (value,) = [each.metric_value for each in data.eval_results]
    assert value == pytest.approx(100 * recorded, abs=5e-5)
    assert "exists already: use --overwrite" in refusal(submit(*command, "--allow-partial"))
    # What a person filled in stays when the folder is made anew.
    (meta,) = made.rglob("model_meta.json")
    filled = json.loads(meta.read_text(encoding="utf-8")) | {"n_parameters": 1234}
    meta.write_text(json.dumps(filled), encoding="utf-8")
    code, said, _ = submit(*command, "--allow-partial", "--overwrite")
    assert code == 0
    assert json.loads(meta.read_text(encoding="utf-8"))["n_parameters"] == 1234
    assert "n_parameters" not in said
