"""Lines of evidence that are read again: who is meant by one, and who only begins alike."""

from __future__ import annotations

import pytest

from flagbench.evidence import is_of_model, is_of_server, server_line

URL = "http://h:1"


def test_the_line_is_that_of_records_of_before() -> None:
    assert server_line(URL, "openai", "m") == "server: http://h:1 (openai), model m there"


@pytest.mark.parametrize(
    ("line", "of_server", "of_model"),
    [
        (server_line(URL, "openai", "m"), True, True),
        (f"{server_line(URL, 'openai', 'm')}, weights in fp16", True, True),
        (server_line(URL, "tei", "m"), True, False),
        (server_line(URL, "openai", "mm"), True, False),
        (server_line(f"{URL}/v1", "openai", "m"), False, False),
        (server_line(f"{URL}2", "openai", "m"), False, False),
        (f"settings: {server_line(URL, 'openai', 'm')}", False, False),
        (f"server: {URL}, which does not say which weights it runs", False, False),
    ],
)
def test_who_is_meant_by_a_line(line: str, of_server: bool, of_model: bool) -> None:
    assert is_of_server(line, URL) is of_server
    assert is_of_model(line, URL, "openai", "m") is of_model
