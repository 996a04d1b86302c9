"""Names of models that a user gives."""

from __future__ import annotations

import pytest

from flagbench.models.spec import is_name


@pytest.mark.parametrize("name", ["org/model", "组织/模型", "o/a b", "o/m+r", "o/m.1"])
def test_names_of_models(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "org", "org/", "/model", "/", "a/b/c", "o/..", "./m", "o/ m", "o/\x1b[31m", "o/\n", "o/\udcff"]
)
def test_names_that_no_model_can_have(name: str) -> None:
    assert not is_name(name)
