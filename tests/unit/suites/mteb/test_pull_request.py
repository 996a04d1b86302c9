"""The draft at the results repository: every step as GitHub documents it, against a server on the loopback address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.models.servers.secret import Secret
from flagbench.results.data_state import DataState
from flagbench.suites.mteb import hub, pull_request
from flagbench.suites.mteb.pull_request import (
    GitHub,
    body_of,
    files_of,
    open_pull_request,
    refuse_what_reviewers_refuse,
    token,
)
from flagbench.suites.mteb.submission import Checked, Standing, write
from tests.unit.submission_files import CORE, OWN, SPEC, task_record, write_run
from tests.unit.suites.mteb.test_commands import submit as submit
from tests.unit.suites.mteb.test_model_file import checked

_KEY = "ghp_0123456789abcdef0123456789abcdef"
_UP = "/repos/embeddings-benchmark/results"
_FORK = "/repos/me/results"
_BRANCH = "flagbench/BAAI__bge-small-zh-v1.5-" + SPEC.revision[:12]


@dataclass
class FakeGitHub:
    """The repository and a fork of it; keeps all requests.

    Attributes:
        refuses: Status and message by the beginning of a request.
        missing: How often the fork's branch is not there yet.
        branches: In the fork.
        opened: Addresses of pull requests by their head.
    """

    refuses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    missing: int = 0
    branches: set[str] = field(default_factory=lambda: {"main"})
    opened: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, line: str, body: Any) -> tuple[int, Any]:
        self.asked.append((line, body))
        for start, refusal in self.refuses.items():
            if line.startswith(start):
                return refusal
        answers: dict[str, tuple[int, Any]] = {
            "GET /user": (200, {"login": "me"}),
            f"GET {_UP}": (200, {"default_branch": "main"}),
            f"POST {_UP}/forks": (202, {"full_name": "me/results"}),
            f"POST {_FORK}/merge-upstream": (200, {"merge_type": "fast-forward"}),
            f"GET {_FORK}/git/commits/parent": (200, {"tree": {"sha": "tree"}}),
            f"POST {_FORK}/git/trees": (201, {"sha": "new-tree"}),
            f"POST {_FORK}/git/commits": (201, {"sha": "new-commit"}),
            f"POST {_FORK}/git/refs": (201, {"ref": "x"}),
            f"POST {_UP}/pulls": (201, {"html_url": "https://github.com/embeddings-benchmark/results/pull/9"}),
        }
        if line.startswith(f"GET {_FORK}/git/ref/heads/"):
            branch = line.partition("/heads/")[2]
            if branch == "main" and self.missing > 0:
                self.missing -= 1
            elif branch in self.branches:
                return 200, {"object": {"sha": "parent"}}
            return 404, {"message": "Not Found"}
        if line.startswith(f"GET {_UP}/pulls?state=open&head="):
            address = self.opened.get(line.partition("&head=")[2])
            return 200, [{"html_url": address}] if address else []
        return answers[line]


@pytest.fixture
def server() -> Iterator[FakeGitHub]:
    fake = FakeGitHub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            fake.keys.add(self.headers["Authorization"])
            status, value = fake.answer(f"{self.command} {self.path}", body)
            text = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        fake.url = f"http://127.0.0.1:{made.server_port}"
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            made.shutdown()
            thread.join()


@pytest.fixture
def its(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    monkeypatch.setattr(pull_request, "_WAIT", 0.0)
    found = checked(tmp_path, "STSB", "LCQMC", spec=SPEC)
    return replace(found, standings=(Standing("MTEB(cmn, v1)", 31, ()),))


def github(server: FakeGitHub) -> GitHub:
    return GitHub(Secret(_KEY), server.url)


def test_the_steps(server: FakeGitHub, its: Checked, tmp_path: Path) -> None:
    server.missing = 2
    folder = write(its, tmp_path / "made")
    files = files_of(folder, tmp_path / "made")
    place = f"results/BAAI__bge-small-zh-v1.5/{SPEC.revision}"
    assert set(files) == {
        f"{place}/{name}" for name in ("STSB.json", "LCQMC.json", "model_meta.json", "run_settings.jsonl")
    }
    address = open_pull_request(its, files, github(server))
    assert address == "https://github.com/embeddings-benchmark/results/pull/9"
    assert [line for line, _ in server.asked] == [
        "GET /user",
        f"GET {_UP}",
        f"POST {_UP}/forks",
        *[f"GET {_FORK}/git/ref/heads/main"] * 3,
        f"GET {_FORK}/git/ref/heads/{_BRANCH}",
        f"POST {_FORK}/merge-upstream",
        f"GET {_FORK}/git/ref/heads/main",
        f"GET {_FORK}/git/commits/parent",
        f"POST {_FORK}/git/trees",
        f"POST {_FORK}/git/commits",
        f"POST {_FORK}/git/refs",
        f"POST {_UP}/pulls",
    ]
    sent = {line: body for line, body in server.asked if body}
    tree = sent[f"POST {_FORK}/git/trees"]
    assert tree["base_tree"] == "tree"
    assert {each["path"]: each["content"] for each in tree["tree"]} == files
    assert {(each["mode"], each["type"]) for each in tree["tree"]} == {("100644", "blob")}
    commit = {"message": "Results of BAAI/bge-small-zh-v1.5", "tree": "new-tree", "parents": ["parent"]}
    assert sent[f"POST {_FORK}/git/commits"] == commit
    assert sent[f"POST {_FORK}/git/refs"] == {"ref": f"refs/heads/{_BRANCH}", "sha": "new-commit"}
    draft = sent[f"POST {_UP}/pulls"]
    assert (draft["draft"], draft["head"], draft["base"]) == (True, f"me:{_BRANCH}", "main")
    assert draft["body"] == body_of(its)
    assert server.keys == {f"Bearer {_KEY}"}


def test_the_body_says_what_made_the_results_and_swears_nothing(its: Checked) -> None:
    body = body_of(its)
    assert "complete benchmarks: MTEB(cmn, v1)" in body
    assert "encoded by FlagBench, and not by the implementation in mteb" in body
    assert "[x]" not in body.lower()


@pytest.mark.parametrize(
    ("start", "refusal", "said"),
    [
        (
            "GET /user",
            (401, {"message": f"Bad credentials {_KEY}"}),
            "refuses GET user (401): Bad credentials ***; see that",
        ),
        (f"POST {_UP}/forks", (403, {"message": "no\n\x1b[31m"}), "(403): no"),
        (f"POST {_FORK}/git/trees", (422, {"message": "bad tree"}), "(422): bad tree"),
        (f"POST {_UP}/pulls", (500, b"<html>"), "refuses POST"),
        (f"POST {_UP}/pulls", (201, b"<html>"), "has no html_url"),
        ("GET /user", (200, [1]), "has no login"),
        ("GET /user", (302, {}), "refuses GET user (302)"),
        ("GET /user", (200, b"x" * (9 << 20)), "is too large"),
        (f"GET {_FORK}/git/ref/heads/main", (404, {}), "is still being made"),
        (f"GET {_FORK}/git/ref/heads/flag", (200, {}), "no pull request is open from a branch that was pushed before"),
    ],
)
def test_what_github_refuses_is_one_line_without_the_token(
    server: FakeGitHub, its: Checked, start: str, refusal: tuple[int, Any], said: str
) -> None:
    server.refuses[start] = refusal
    with pytest.raises(BadInput) as error:
        open_pull_request(its, {"results/a": "b"}, github(server))
    text = str(error.value)
    assert said in text
    assert _KEY not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1


def test_a_pull_request_that_is_open_is_named_and_none_is_opened_beside_it(server: FakeGitHub, its: Checked) -> None:
    server.branches.add(_BRANCH)
    server.opened[f"me:{_BRANCH}"] = "https://github.com/x/pull/3\x1b"
    with pytest.raises(BadInput) as error:
        open_pull_request(its, {"results/a": "b"}, github(server))
    assert str(error.value) == (
        "https://github.com/x/pull/3\N{REPLACEMENT CHARACTER} is open with results of this model at this commit: close "
        f"it, delete the branch {_BRANCH} of me/results, then run this again"
    )
    assert not any(line.startswith("POST") and "forks" not in line for line, _ in server.asked)


def test_nobody_answers(its: Checked) -> None:
    with pytest.raises(BadInput, match="GitHub cannot be reached at http://127"):
        open_pull_request(its, {"results/a": "b"}, GitHub(Secret(_KEY), "http://127.0.0.1:9"))


# What is refused before anything is sent.


def test_what_reviewers_refuse(its: Checked, tmp_path: Path) -> None:
    refuse_what_reviewers_refuse(its)
    nearly = replace(its, standings=(Standing("MTEB(cmn, v1)", 31, ("LCQMC",)),))
    unsure = replace(its, unsure={DataState.COUNTS_AGREE: ["STSB"]})
    other = replace(its, identity=replace(its.identity, revision="d" * 40))
    unknown = checked(tmp_path / "own", "STSB", spec=OWN)
    for refused, said in (
        (nearly, "no benchmark is complete"),
        (unsure, "only the counts agree with the official data: STSB"),
        (other, f"mteb has BAAI/bge-small-zh-v1.5 at {SPEC.revision}, and the run has {'d' * 40}"),
        (unknown, "mteb has no ModelMeta of org/mine: add it first"),
    ):
        with pytest.raises(BadInput, match="is not opened as a pull request") as error:
            refuse_what_reviewers_refuse(refused)
        assert said in str(error.value)


def test_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in pull_request.TOKENS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match="set GH_TOKEN"):
        token()
    monkeypatch.setenv("GITHUB_TOKEN", "two")
    assert token().reveal() == "two"
    monkeypatch.setenv("GH_TOKEN", f" {_KEY}\n")
    assert token().reveal() == _KEY
    assert _KEY not in repr(token())
    monkeypatch.setenv("GH_TOKEN", "a b")
    with pytest.raises(BadInput, match="is none of GitHub") as error:
        token()
    assert "a b" not in str(error.value)


# The command.


@pytest.fixture
def there(tmp_path: Path, server: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete run of a model that the hub and mteb have, and the environment of somebody who may send it."""
    monkeypatch.setenv("GH_TOKEN", _KEY)
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setattr(pull_request, "_WAIT", 0.0)
    monkeypatch.setattr(hub, "find", lambda identity: hub.Found("e" * 40, False))
    monkeypatch.setattr(hub, "read_card", lambda identity, found: "# Mine\n")
    monkeypatch.setattr(hub, "open_requests", lambda identity: [])
    monkeypatch.setattr(hub, "push_card", lambda identity, found, text: "https://huggingface.co/x/discussions/2")
    monkeypatch.chdir(tmp_path)
    return write_run(tmp_path / "out", [task_record(name) for name in CORE])


Submit = Callable[..., tuple[int, list[str], list[str]]]


def test_what_is_sent_is_said_before_it_is(there: Path, server: FakeGitHub, submit: Submit) -> None:
    code, out, err = submit(there, "--create-pr", "--push-card", "--dry-run")
    assert (code, err) == (0, [])
    folder = f"results/BAAI__bge-small-zh-v1.5/{SPEC.revision}"
    sends = [
        f"sends     {folder} to https://github.com/embeddings-benchmark/results, as the draft of a pull request",
        f"          from branch {_BRANCH} of your fork",
    ]
    card = "sends     README.md to https://huggingface.co/BAAI/bge-small-zh-v1.5, as a pull request"
    assert out[3:] == [
        "complete  MTEB(cmn, v1): 31 tasks",
        f"writes    {folder}, 33 files",
        *sends,
        card,
        "dry run   nothing was written and nothing was sent",
    ]
    assert server.asked == []
    assert not Path("results").exists()
    code, out, err = submit(there, "--create-pr", "--push-card")
    assert (code, err) == (0, [])
    assert out[4:] == [
        f"written   {folder}, 33 files",
        *sends,
        "opened    https://github.com/embeddings-benchmark/results/pull/9",
        "          answer the check list there, then mark it ready for review",
        card,
        "opened    https://huggingface.co/x/discussions/2",
    ]
    assert len(server.asked[-1][1]["body"]) > 100
    assert _KEY not in "".join([*out, *err])


def test_a_private_model_and_a_missing_token_are_refused_before_anything_is_written(
    there: Path, server: FakeGitHub, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "find", lambda identity: hub.Found("e" * 40, True))
    assert "is private on the hub" in submit(there, "--create-pr")[2][0]
    monkeypatch.delenv("GH_TOKEN")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    assert "needs a token of GitHub" in submit(there, "--create-pr")[2][0]
    assert "name the same file" in submit(there, "--model-card", "x", "--model-meta", "x")[2][0]
    assert server.asked == []
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_a_card_that_has_the_scores_is_not_sent(there: Path, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    first, hub_card_with = {"text": ""}, hub.card_with

    def kept(text: str, its: Checked) -> str:
        first["text"] = hub_card_with(text, its)
        return first["text"]

    monkeypatch.setattr(hub, "card_with", kept)
    submit(there, "--push-card", "--dry-run")
    monkeypatch.setattr(hub, "read_card", lambda identity, found: first["text"])
    code, out, _ = submit(there, "--push-card", "--dry-run")
    assert code == 0
    assert "card      https://huggingface.co/BAAI/bge-small-zh-v1.5 has these scores already" in out
    assert not any(line.startswith("sends") for line in out)


def test_a_second_card_is_not_sent_while_the_first_is_open(
    there: Path, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(hub, "push_card", lambda identity, found, text: sent.append(text) or "https://hub/1")
    assert submit(there, "--push-card")[0] == 0
    first = hub.Request("https://huggingface.co/x/discussions/1", "refs/pr/1")
    cards = {first.head: sent[0], "e" * 40: "# Mine\n"}
    monkeypatch.setattr(hub, "open_requests", lambda identity: [first])
    monkeypatch.setattr(hub, "read_card", lambda identity, found: cards[found.head])
    code, out, _ = submit(there, "--push-card", "--overwrite")
    assert (code, len(sent)) == (0, 1)
    assert "card      https://huggingface.co/x/discussions/1 has these scores already" in out
    assert not any(line.startswith("sends") for line in out)
    cards[first.head] = "# Mine\n"
    code, out, err = submit(there, "--push-card", "--overwrite")
    assert (code, out, len(sent)) == (2, [], 1)
    assert "discussions/1 is open with other scores: merge or close it, then run this again" in err[0]


def test_the_model_as_python(tmp_path: Path, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "out", [task_record("STSB", OWN)], OWN)
    code, out, err = submit(run, "--allow-partial", "--model-meta", "mine.py")
    assert (code, err) == (0, [])
    assert "model     mine.py: for mteb's models" in out
    assert Path("mine.py").read_text(encoding="utf-8").startswith("from mteb.models.model_meta import ModelMeta")
    assert "exists already" in submit(run, "--allow-partial", "--output", "x", "--model-meta", "mine.py")[2][0]
