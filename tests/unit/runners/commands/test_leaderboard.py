"""The local leaderboard: what can be got from it, what cannot, and when the page is made anew."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.worst_queries import Examples
from flagbench.runners.commands.leaderboard import Leaderboard, Server, listen, record_files
from tests.unit.page_runs import page_run, page_task, worst_of
from tests.unit.page_tree import Element, read_page

_KNOWN = {"cmteb": Benchmark("C-MTEB", {"Avg": ["A", "B"]})}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs at different depths."""
    page_run(tmp_path / "runs", "org/best", page_task("A", 0.9), page_task("B", 0.8))
    page_run(tmp_path / "runs" / "nightly" / "monday", "org/second", page_task("A", 0.5), page_task("B", 0.6))
    page_run(tmp_path / "runs" / "half", "org/half", page_task("A", 0.99))
    return tmp_path / "runs"


@contextmanager
def serving(made: Server) -> Iterator[None]:
    """A server at work in a thread."""
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        made.shutdown()
        thread.join()


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A server of that folder, at work."""
    with listen(Leaderboard(folder, "en", lambda runs: _KNOWN), "127.0.0.1", 0) as made, serving(made):
        yield made


def answer(
    server: Server, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[http.client.HTTPResponse, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)) as connection:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        return response, response.read().decode()


def labels(text: str) -> list[str]:
    return [each.attributes["data-run"] for each in read_page(text).all("tbody", data_run=None)]


def test_all_runs_are_shown_the_most_complete_and_best_first(server: Server) -> None:
    response, text = answer(server)
    assert response.status == 200
    assert labels(text) == ["org/best", "org/second", "org/half"]
    tree = read_page(text)
    assert tree.one("h1").text == "Leaderboards"
    assert tree.one("html").attributes["data-version"] == answer(server, "/version")[1].strip()
    assert [each.words for each in tree.all("td", data_official=None)] == ["85.00", "55.00", "–partial"]


def test_the_page_is_made_anew_when_a_file_changes_and_only_then(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    whole = Leaderboard._page
    monkeypatch.setattr(Leaderboard, "_page", lambda *its: made.append(its[2]) or whole(*its))
    first, version = answer(server)[1], answer(server, "/version")[1]
    assert answer(server)[1] == first
    assert made == [version.strip()]
    page_run(folder / "nightly" / "tuesday", "org/new", page_task("A", 0.1))
    assert answer(server, "/version")[1] != version
    assert "org/new" in labels(answer(server)[1])
    file = next(folder.glob("org__best/*/flagbench/run.json"))
    now = answer(server, "/version")[1]
    file.write_text(file.read_text(encoding="utf-8").replace("0.9", "0.7"), encoding="utf-8")
    os.utime(file, ns=(1, 1))  # whatever the clock of the file system
    assert answer(server, "/version")[1] != now
    assert "70.00" in answer(server)[1]
    file.unlink()
    assert "org/best" not in labels(answer(server)[1])
    assert len(made) == len(set(made)) == 4


@pytest.mark.parametrize("changed", ["time", "size", "file", "place"])
def test_each_mark_of_a_file_makes_another_version(folder: Path, changed: str) -> None:
    """Its time, its size, that it is another file of the same time and size, or that it lies elsewhere."""
    board = Leaderboard(folder, "en", lambda runs: _KNOWN)
    file = board.files()[0]
    before, state, data = board.version(), file.stat(), file.read_bytes()
    times = (state.st_atime_ns, state.st_mtime_ns)
    if changed == "time":
        os.utime(file, ns=(times[0], times[1] + 1_000))
    elif changed == "size":
        file.write_bytes(data + b" ")
        os.utime(file, ns=times)
    elif changed == "place":
        (folder / "half").rename(folder / "hall")
    else:
        other = file.with_name("other")
        other.write_bytes(data)
        os.utime(other, ns=times)
        other.replace(file)
    assert board.version() != before


def test_damaged_runs_are_named_and_the_others_shown(server: Server, folder: Path) -> None:
    broken = page_run(folder, "org/broken<script>", page_task("A"))
    (broken / "flagbench" / "run.json").write_text("{", encoding="utf-8")
    worst = page_run(folder, "org/worst", page_task("A"), worst={"A": worst_of("A", 1)})
    (worst / Examples.file("A")).write_text("{", encoding="utf-8")
    response, text = answer(server)
    assert response.status == 200
    assert labels(text) == ["org/best", "org/second", "org/half"]
    section = read_page(text).one("section", aria_labelledby="unreadable")
    lines = [each.words for each in section.all("li")]
    assert len(lines) == 2
    assert "org__broken<script>" in lines[0]
    assert "not a run.json that can be read" in lines[0]
    assert "worst_queries/A.json is damaged" in lines[1]


def test_a_folder_that_lost_its_runs_says_so(server: Server, folder: Path) -> None:
    for file in folder.rglob("run.json"):
        file.unlink()
    response, text = answer(server)
    assert response.status == 200
    assert "There are no runs" in text


def test_differing_data_do_not_keep_runs_off_the_page(server: Server, folder: Path) -> None:
    page_run(folder, "org/other", page_task("A", scores={"test": {"default": 0.2}}))
    text = answer(server)[1]
    assert "org/other" in labels(text)
    assert "≠" in read_page(text).one("tbody", data_task="A").text


@pytest.mark.parametrize(
    "path",
    [
        "/flagbench/run.json",
        "/../runs/org__best/v1/flagbench/run.json",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
        "/index.html",
        "/version/",
    ],
)
def test_no_path_leads_to_a_file(server: Server, path: str) -> None:
    response, text = answer(server, path)
    assert (response.status, text) == (404, "there is nothing here but /\n")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_get(server: Server, method: str) -> None:
    response, text = answer(server, method=method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET"
    assert "org/best" not in text


def test_other_methods(server: Server) -> None:
    assert answer(server, method="TRACE")[0].status == 501


def test_headers(server: Server) -> None:
    for path in ("/", "/version", "/none"):
        headers = answer(server, path)[0].headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Content-Type"] == f"text/{'html' if path == '/' else 'plain'}; charset=utf-8"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers["Server"]
        rules = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(rules)
    policy = read_page(answer(server)[1]).one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.split("; ") == rules[:-1]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9", 200),
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8808", 200),
        ("10.1.2.3", 200),
        ("evil.example", 421),
        ("evil.example:8808", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_names_of_others_are_refused(server: Server, host: str, status: int) -> None:
    response, text = answer(server, host=host)
    assert response.status == status
    assert ("org/best" in text) == (status == 200)


def test_where_it_cannot_listen(folder: Path, server: Server) -> None:
    board = Leaderboard(folder, "en", lambda runs: _KNOWN)
    for host, port, said in (
        ("127.0.0.1", server.server_port, f"port {server.server_port} of 127.0.0.1 is in use"),
        ("192.0.2.1", 0, "cannot listen on port 0 of 192.0.2.1"),
        ("no host", 0, "no host"),
        ("é" * 70, 0, "not an address"),
    ):
        with pytest.raises(BadInput, match=said) as error:
            listen(board, host, port)
        assert "\n" not in str(error.value)


def _ipv6() -> bool:
    """Whether this machine has the loopback address, found without the server."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _ipv6(), reason="no IPv6 here")
def test_ipv6(folder: Path) -> None:
    with listen(Leaderboard(folder, "en", lambda runs: _KNOWN), "::1", 0) as made, serving(made):
        assert made.socket.getsockname()[:2] == ("::1", made.server_port)
        with closing(http.client.HTTPConnection("::1", made.server_port, timeout=20)) as connection:
            connection.request("GET", "/")
            response = connection.getresponse()
            assert response.status == 200
            assert labels(response.read().decode()) == ["org/best", "org/second", "org/half"]
        with pytest.raises(BadInput, match=f"port {made.server_port} of ::1 is in use"):
            listen(Leaderboard(folder, "en", lambda runs: _KNOWN), "::1", made.server_port)


def test_an_address_of_ipv6_is_listened_on_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without it too: what is bound is a stand-in for its socket."""
    made: list[tuple[int, Any]] = []

    class Recorded(socket.socket):
        def __init__(self, family: int = -1, *others: int) -> None:
            super().__init__(socket.AF_INET, *others)
            self.asked = family

        def bind(self, address: Any) -> None:
            made.append((self.asked, address))
            super().bind(("127.0.0.1", 0))

    monkeypatch.setattr(socket, "socket", Recorded)
    for host in ("::1", "127.0.0.1"):
        listen(Leaderboard(folder, "en", lambda runs: _KNOWN), host, 0).server_close()
    assert made == [(socket.AF_INET6, ("::1", 0)), (socket.AF_INET, ("127.0.0.1", 0))]


def test_folders_of_runs_are_not_walked_through(folder: Path) -> None:
    run = next(folder.glob("org__best/v1"))
    page_run(run / "flagbench" / "replaced", "org/old", page_task("A"))
    page_run(folder / ".hidden", "org/hidden", page_task("A"))
    found = Leaderboard(folder, "en", lambda runs: _KNOWN).files()
    assert [file.parent.parent.parent.name for file in found] == ["org__half", "org__second", "org__best"]


def test_the_page_is_in_its_language_and_of_the_benchmarks_of_its_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of: list[list[str]] = []

    def known(runs: Any) -> dict[str, Benchmark]:
        of.append([run.label for run in runs])
        return _KNOWN

    with listen(Leaderboard(folder, "zh", known), "127.0.0.1", 0) as made, serving(made):
        tree = read_page(answer(made)[1])
    assert tree.one("html").attributes["lang"] == "zh-CN"
    assert of == [["org/half", "org/second", "org/best"]]
    assert capsys.readouterr() == ("", ""), "requests are not logged"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="gone does not exist: name one with results"):
        Leaderboard(tmp_path / "gone", "en", lambda runs: _KNOWN)


def test_the_tree_reads_what_it_should() -> None:
    tree = read_page("<p class='a b'>one<br>two <b>&lt;three&gt;</b></p>")
    assert tree.one("p").has("b")
    assert tree.words == "onetwo <three>"
    assert isinstance(tree.one("b"), Element)


@pytest.mark.parametrize("path", ["/", "/version", "/gone"])
def test_a_head_has_the_headers_of_a_get_and_no_body(server: Server, path: str) -> None:
    answers = {}
    for method in ("GET", "HEAD"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(f"{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answers[method] = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    headers = {method: text.split(b"\r\n\r\n")[0] for method, text in answers.items()}
    undated = [[line for line in each.splitlines() if not line.startswith(b"Date")] for each in headers.values()]
    assert answers["HEAD"] == headers["HEAD"] + b"\r\n\r\n"
    if headers["HEAD"].split()[1] != b"405":
        assert undated[0] == undated[1]


def test_nothing_is_tested_for_a_leaderboard(tmp_path: Path) -> None:
    """It is made anew with every result, and of many runs: it shows scores, and reads no values by query."""
    for name, value in (("one", 0.1), ("two", 0.4)):
        run = page_run(tmp_path, f"org/{name}", page_task("A", value), values={"A": [value] * 10})
        for file in run.rglob("per_query/A.json"):
            file.write_text("{", encoding="utf-8")
    with listen(Leaderboard(tmp_path, "en", lambda runs: _KNOWN), "127.0.0.1", 0) as made, serving(made):
        response, text = answer(made)
    assert (response.status, labels(text)) == (200, ["org/two", "org/one"])
    assert "†" not in text


def test_what_stands_behind_a_question_mark_is_no_part_of_the_path(server: Server) -> None:
    assert answer(server, "/version?x=1/2")[1] == answer(server, "/version")[1]
    response, text = answer(server, "/?lang=zh")
    assert (response.status, labels(text)) == (200, ["org/best", "org/second", "org/half"])


def test_a_run_that_cannot_be_looked_at_is_one_that_is_there(folder: Path) -> None:
    """Its record is a link to nothing: it is named on the page, and what lies below it is not looked for."""
    board = Leaderboard(folder, "en", lambda runs: _KNOWN)
    before = board.version()
    broken = folder / "a_broken"
    page_run(broken / "below", "org/below", page_task("A"))
    (broken / "flagbench").mkdir()
    (broken / "flagbench" / "run.json").symlink_to("nothing")
    assert board.files()[0] == broken / "flagbench" / "run.json"
    assert len(board.files()) == 4
    assert board.version() == before  # of a link to nothing there is no time and no size
    page_run(folder / "z", "org/last", page_task("A"))
    text = board.page()
    assert sorted(labels(text)) == ["org/best", "org/half", "org/last", "org/second"]
    assert "a_broken" in read_page(text).one("section", aria_labelledby="unreadable").words


def test_what_cannot_be_answered_now_is_said_and_the_server_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Leaderboard) -> str:
        raise BadInput("the folder\nwent away")

    with monkeypatch.context() as patch:
        patch.setattr(Leaderboard, "page", gone)
        response, text = answer(server)
        assert (response.status, text) == (503, "the folder went away\n")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer(server)[0].status == 200


def test_the_name_of_this_machine_and_the_one_that_is_listened_on_are_answered_to(folder: Path) -> None:
    with listen(Leaderboard(folder, "en", lambda runs: _KNOWN), "LocalHost", 0) as made, serving(made):
        assert made.server_name == "127.0.0.1"
        for host in ("localhost", socket.gethostname().upper(), f"{socket.gethostname()}:80"):
            assert answer(made, "/version", host=host)[0].status == 200
        assert answer(made, "/version", host="other.example")[1] == "this server answers to its own address alone\n"
        response, text = answer(made, method="POST")
        assert (response.status, text) == (405, "only GET\n")


def test_a_folder_that_may_not_be_read_is_named_as_a_run_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, scandir = record_files(folder), os.scandir

    def refused(path: str) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (folder / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refused)  # root may read all of them
    assert record_files(folder) == sorted([*before, folder / "locked" / "flagbench" / "run.json"])


def test_a_model_whose_organisation_is_hidden_is_on_the_board(tmp_path: Path) -> None:
    """Other hidden folders, such as what a run has not finished, are none of results."""
    page_run(tmp_path / "runs", ".nightly/checkpoint-5", page_task("A", 0.9))
    page_run(tmp_path / "runs" / ".old", "org/old", page_task("A", 0.5))
    page_run(tmp_path / "runs" / ".results.a__b.unfinished", "org/half", page_task("A", 0.5))
    found = Leaderboard(tmp_path / "runs", "en", lambda runs: _KNOWN).files()
    assert [file.relative_to(tmp_path / "runs").parts[0] for file in found] == [".nightly__checkpoint-5"]
