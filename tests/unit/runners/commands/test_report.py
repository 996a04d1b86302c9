"""``flagbench serve`` around its server, and the facts about benchmarks that pages need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from flagbench import UnknownName
from flagbench.results.averages import cells_digest
from flagbench.runners import registry
from flagbench.runners.commands import cli, leaderboard, report
from flagbench.runners.registry import Registered
from flagbench.runners.request import RunRequest
from tests.unit.page_runs import page_run, page_task


class _Server:
    """A server that is interrupted at once."""

    server_port = 4_321
    served = closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def serve_forever(self) -> None:
        self.served = True
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("host", "address", "open_"),
    [
        ("127.0.0.1", "127.0.0.1", False),
        ("127.8.9.1", "127.8.9.1", False),
        ("localhost", "localhost", False),
        ("::1", "[::1]", False),
        ("0.0.0.0", "0.0.0.0", True),
        ("::", "[::]", True),
        ("10.0.0.7", "10.0.0.7", True),
        ("localhost.example", "localhost.example", True),
    ],
)
def test_who_can_read_is_warned_of_before_it_serves(
    host: str,
    address: str,
    open_: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page_run(tmp_path, "org/m", page_task("A", 0.5))
    server, asked = _Server(), []

    def listen(board: Any, *where: Any) -> _Server:
        asked.append((board.folder, board._language, *where))
        return server

    monkeypatch.setattr(leaderboard, "listen", listen)
    options = cli._parser().parse_args(["serve", str(tmp_path), "--host", host, "--port", "99", "--lang", "zh"])
    assert options.run(options) == 0
    warning = [f"warning   whoever reaches {host} can read all results under {tmp_path}"] if open_ else []
    serving = f"serving   http://{address}:4321/  ({tmp_path}; Ctrl-C ends it)"
    assert capsys.readouterr().out.splitlines() == [*warning, serving, "ended"]
    assert (asked, server.served, server.closed) == ([(tmp_path, "zh", host, 99)], True, True)


class _Stub:
    """A benchmark with an average of its own for each of its data."""

    def __init__(self, name: str, mini: Path | None = None) -> None:
        self.name, self.title, self._mini = name, f"The {name}", mini

    def averages(self, request: RunRequest) -> Mapping[str, list[str]]:
        assert (request.model, request.benchmark) == ("", self.name)
        return {"mini": ["A"]} if request.mini else {"whole": ["A", "B"]}

    def mini_data(self) -> Path | None:
        return self._mini

    def parts(self) -> dict[str, frozenset[tuple[str, str]]]:
        return {self.name: frozenset()}


def test_the_facts_about_benchmarks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are registered, and those that runs are of; of one that is not installed nothing is known."""
    stubs = {"one": _Stub("one", Path("/a/b/one/mini")), "two": _Stub("two")}
    looked: list[str] = []

    def find(name: str) -> Any:
        looked.append(name)
        if name == "gone":
            raise UnknownName("benchmark", name, stubs)
        return _Stub(name)

    monkeypatch.setattr(registry, "registered", lambda: Registered(stubs, ("no three", "no four")))  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "find_benchmark", find)
    of = ("within", "gone", "one", "within", "last")
    runs: Any = [SimpleNamespace(record=SimpleNamespace(benchmark=name, definition=None)) for name in of]
    known = report.benchmarks(runs)
    assert list(known) == ["one", "two", "within", "last"]
    assert looked == ["within", "gone", "last"]
    assert capsys.readouterr() == ("", "flagbench: no three\nflagbench: no four\n")
    one, two = known["one"], known["two"]
    assert (one.title, one.averages, one.mini_averages) == ("The one", {"whole": ["A", "B"]}, {"mini": ["A"]})
    assert (one.mini, two.mini, one.parts) == (("one", "mini"), (), {"one": cells_digest([])})
