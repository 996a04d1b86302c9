"""After a run nothing of it lives on in its interpreter: no thread, no process, no socket."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flagbench.mlvu import evaluation
from flagbench.runners.search import index
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.e2e.commands import here
from tests.fake_server import FakeServer, Reply

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what lives is read in /proc")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sentence_transformers(write_bert(tmp_path_factory.mktemp("model") / "bert"))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer(answer=lambda body: "A")
    yield server
    server.close()


def alive(server: FakeServer | None = None) -> dict[str, set[object]]:
    """What lives in this interpreter: its threads, its children, and the inodes of its sockets.

    Python's own tracker of semaphores is left out, which lives as long as the interpreter, and the server of the test.
    """
    links = [link for path in Path("/proc/self/fd").iterdir() if (link := _target(path)).startswith("socket:")]
    children: set[object] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text(encoding="ascii").split():
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                children.add(child)
    threads = {each for each in threading.enumerate() if "process_request_thread" not in each.name}
    return {"threads": set(threads), "processes": children, "sockets": set(links) if server is None else set()}


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # the handle with which the folder is read
        return ""


def left_by(run: Callable[[], object], server: FakeServer | None = None) -> dict[str, set[object]]:
    """What lives after a run and did not before."""
    before = alive(server)
    run()
    after = alive(server)
    return {kind: after[kind] - before[kind] for kind in after}


NOTHING: dict[str, set[object]] = {"threads": set(), "processes": set(), "sockets": set()}


def evaluated(model: Path | str, folder: Path, *flags: str | Path, code: int = 0) -> Callable[[], None]:
    def run() -> None:
        result = here("evaluate", model, "--mini", "--output", folder / "out", "--store", folder / "store", *flags)
        assert result.returncode == code, result.stderr

    return run


@pytest.mark.parametrize("devices", [["--device", "cpu"], ["--devices", "cpu:2"]], ids=["one", "workers"])
def test_a_dense_model_leaves_nothing(
    model: Path, tmp_path: Path, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_BLOCK_BYTES", 4_000)  # many blocks
    assert left_by(evaluated(model, tmp_path, "--tasks", "STSB,CovidRetrieval", *devices)) == NOTHING


def test_a_run_with_workers_that_fails_leaves_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(index.StreamSearch, "add", broken)
    run = evaluated(model, tmp_path, "--tasks", "CovidRetrieval", "--devices", "cpu:2", code=1)
    assert left_by(run) == NOTHING


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([], 0),
        ([Reply("no", status=400)], 2),
        ([Reply("", raw=b"{"), Reply(drop=True)], 0),
    ],
    ids=["well", "refused", "troubled"],
)
def test_a_server_leaves_nothing(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: list[Reply], code: int
) -> None:
    monkeypatch.setattr("flagbench.models.servers.http._FIRST_WAIT", 0.001)
    server.script = script
    flags = ["--benchmark", "mlvu", "--types", "multiple-choice", "--frames", "2"]
    run = evaluated("m", tmp_path, *flags, "--api-base", server.url, code=code)
    assert left_by(run, server) == NOTHING
    assert not connections()


def test_a_server_that_refuses_the_key_leaves_nothing(server: FakeServer, tmp_path: Path) -> None:
    server.models = Reply("no", status=401)
    run = evaluated("m", tmp_path, "--benchmark", "mlvu", "--blind", "--api-base", server.url, code=2)
    assert left_by(run, server) == NOTHING
    assert not connections()


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ZeroDivisionError])
def test_frames_decoded_ahead_leave_nothing_when_a_run_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    def broken(*_: object) -> None:
        raise fault

    monkeypatch.setattr(evaluation.Journal, "add", broken)
    flags = ["--benchmark", "mlvu", "--tasks", "plotQA", "--frames", "2"]
    code = 130 if fault is KeyboardInterrupt else 1
    assert left_by(evaluated("flagbench/first-letter", tmp_path, *flags, code=code)) == NOTHING


def test_frames_decoded_ahead_leave_nothing(tmp_path: Path) -> None:
    flags = ["--benchmark", "mlvu", "--types", "multiple-choice", "--frames", "2"]
    assert left_by(evaluated("flagbench/first-letter", tmp_path, *flags)) == NOTHING


def connections() -> list[str]:
    """Sockets of this process that are connected from here to a server on this machine."""
    inodes = {link[8:-1] for path in Path("/proc/self/fd").iterdir() if (link := _target(path)).startswith("socket:")}
    lines = [line.split() for line in Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    # Of an accepted one the local port is the server's; established is 01.
    listening = {line[1] for line in lines if line[3] == "0A"}
    return [line[2] for line in lines if line[9] in inodes and line[3] == "01" and line[1] not in listening]


def test_what_lives_is_seen(server: FakeServer) -> None:
    pid = os.fork()
    if not pid:
        threading.Event().wait(20)
        os._exit(0)
    try:
        assert str(pid) in alive()["processes"]
        assert threading.current_thread() in alive()["threads"]
        assert alive()["sockets"]
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
