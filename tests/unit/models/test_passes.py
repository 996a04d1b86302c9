"""Forward passes are heard of while somebody listens, by the thread that waits for them."""

from __future__ import annotations

import contextlib
import threading

from flagbench.models.passes import heard_by, passed


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
