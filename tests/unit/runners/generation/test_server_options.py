"""Flags that say how a server is asked need one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.mlvu.benchmark import MLVU
from flagbench.mlvu.options import MlvuOptions
from flagbench.runners.generation.server_options import ServerOptions
from flagbench.runners.request import RunRequest
from flagbench.suites.longctx.benchmark import LONG_CONTEXT
from flagbench.suites.longctx.options import LongContextOptions


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("concurrency", 5, "--concurrency"),
        ("requests_a_minute", 9, "--requests-a-minute"),
        ("request_timeout", 1.0, "--request-timeout"),
        ("body_timeout", 1.0, "--body-timeout"),
        ("reply_size", 1, "--reply-size"),
        ("api_extra", "{}", "--api-extra"),
    ],
)
def test_without_a_server_a_flag_of_one_is_refused(field: str, value: Any, flag: str) -> None:
    options = replace(ServerOptions(), **{field: value})
    with pytest.raises(BadInput, match=f"^{flag}: there is no server that this is for; name one with --api-base"):
        options.check_server()
    replace(options, api_base="http://localhost:8000/v1").check_server()


def test_so_it_is_for_each_benchmark_that_asks_one() -> None:
    for benchmark, options in (
        (LONG_CONTEXT, LongContextOptions(concurrency=5, api_extra="{}")),
        (MLVU, MlvuOptions(concurrency=5, api_extra="{}")),
    ):
        request = RunRequest("no-such-folder", benchmark.name, options=options)
        with pytest.raises(BadInput, match=r"^--concurrency, --api-extra: there is no server"):
            benchmark.model(request, lambda: True)
