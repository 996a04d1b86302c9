"""What all contract suites share."""

from collections.abc import Iterator

import pytest

from tests.contract.adapters import close_workers


@pytest.fixture(scope="module", autouse=True)
def no_workers_left() -> Iterator[None]:
    """Ends the workers of a module when its tests are through."""
    yield
    close_workers()
