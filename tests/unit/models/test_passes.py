"""Forward passes are heard of while somebody listens, by the thread that waits for them."""

from __future__ import annotations

import contextlib
import threading

import pytest

from flagbench.models.passes import Stopped, heard_by, passed, stopped_by


def test_passes_are_heard_of_while_somebody_listens() -> None:
    outer: list[int] = []
    inner: list[int] = []
    passed(1)
    with heard_by(outer.append):
        passed(2)
        with heard_by(inner.append):
            passed(3)
        with contextlib.suppress(KeyError), heard_by(inner.append):
            raise KeyError
        passed(4)
        other = threading.Thread(target=passed, args=(5,))
        other.start()
        other.join()
    passed(6)
    assert (outer, inner) == ([2, 4], [3])


def test_the_first_pass_after_the_end_is_the_last() -> None:
    """It has ended, so it is heard of; other threads go on."""
    heard: list[int] = []
    end = threading.Event()
    with heard_by(heard.append), stopped_by(end):
        passed(1)
        end.set()
        with pytest.raises(Stopped):
            passed(2)
        other = threading.Thread(target=passed, args=(3,))
        other.start()
        other.join()
    passed(4)
    assert heard == [1, 2]
