"""Keys of texts: each is found where it was put, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench.runners.store.keys import KeyIndex, first_of_each, keys_of
from flagbench.runners.store.store import Store
from tests.unit.store_files import IDENTITY, put, texts


def test_keys_are_of_the_text_alone() -> None:
    keys = keys_of(["a", "b", "a", "", "\udcff", "句"])
    assert keys.dtype == np.dtype("V16")
    assert len({key.tobytes() for key in keys}) == 5
    assert keys[0] == keys[2]
    assert len(keys_of([])) == 0
    halves = np.frombuffer(keys_of([str(number) for number in range(50)]).tobytes(), dtype="<u8").reshape(-1, 2)
    assert [len(np.unique(half)) for half in halves.T] == [50, 50]


def test_many_keys_against_a_dict(opened: Callable[..., Store]) -> None:
    random = np.random.default_rng(0)
    space = opened().space(IDENTITY)
    known: dict[bytes, set[int]] = {}
    for rows in (1, 5_000, 3, 40, 9_000, 700, 2, 5_254):
        keys = keys_of([str(number) for number in random.integers(0, 30_000, rows)])
        places = space.put(keys, {"values": np.zeros((rows, 1), np.float32)})
        assert places is not None
        for key, place in zip(keys, places.tolist(), strict=True):
            known.setdefault(key.tobytes(), set()).add(place)
        asked = keys_of([str(number) for number in random.integers(0, 40_000, 2_000)])
        for key, place in zip(asked, space.find(asked).tolist(), strict=True):
            assert place in known.get(key.tobytes(), {-1})
    assert sum(map(len, known.values())) == 20_000


@pytest.mark.parametrize(
    "key", [lambda number: b"the same" + number, lambda number: number + b"the same"], ids=["begin", "end"]
)
def test_keys_that_are_half_alike_are_told_apart(key: Callable[[bytes], bytes]) -> None:
    def crafted(numbers: Iterable[int]) -> NDArray[np.void]:
        return np.frombuffer(b"".join(key(number.to_bytes(8, "little")) for number in numbers), dtype="V16")

    index = KeyIndex()
    for begin in (0, 50):
        index.add(crafted(range(2 * begin, 2 * begin + 100, 2)).tobytes(), begin)
    numbers = np.random.default_rng(0).permutation(240)
    expected = np.where((numbers % 2 == 0) & (numbers < 200), numbers // 2, -1)
    np.testing.assert_array_equal(index.find(crafted(numbers.tolist())), expected)


@pytest.mark.parametrize(("heads", "tails", "kinds"), [(4, 4, 16), (30, 1, 30), (1, 30, 30), (30, 2, 60)])
@pytest.mark.parametrize("seed", range(5))
def test_the_first_of_each_key_and_which_every_key_is(seed: int, heads: int, tails: int, kinds: int) -> None:
    """Against a dict, with keys that are alike in either half, and with all alike in one."""
    random = np.random.default_rng(seed)
    halves = np.column_stack([random.integers(0, heads, 40), random.integers(0, tails, 40)]).astype("<u8")
    keys = np.frombuffer(halves.tobytes(), dtype="V16")
    known: dict[bytes, int] = {}
    places = [known.setdefault(key.tobytes(), len(known)) for key in keys]
    firsts = [places.index(place) for place in range(len(known))]
    found = first_of_each(keys)
    assert [found[0].tolist(), found[1].tolist()] == [firsts, places]
    assert 12 < len(known) <= min(kinds, 39)  # there are some of each, and some twice


def test_of_no_keys_none_is_the_first() -> None:
    assert [each.tolist() for each in first_of_each(keys_of([]))] == [[], []]


def test_forgotten_places_are_not_found() -> None:
    index, keys = KeyIndex(), keys_of(["a", "b", "c", "d"])
    index.add(keys[:2].tobytes(), 0)
    assert index.find(keys).tolist() == [0, 1, -1, -1]
    index.add(keys[1:].tobytes(), 2)
    index.forget(np.array([False, True, False, True, False]))
    assert index.find(keys).tolist() == [0, 2, -1, 4]


def test_finding_between_many_puts_stays_cheap(opened: Callable[..., Store]) -> None:
    space = opened().space(IDENTITY)
    for number in range(300):
        put(space, number)
        assert space.find(keys_of(texts(number))) == [number]
    assert len(space._index._runs) < 10
