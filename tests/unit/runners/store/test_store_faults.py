"""The store under several processes, and on a disk that is full, fails, or may not be written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.runners.store import store as store_module
from flagbench.runners.store.folder import describe, read_identity
from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.store import Store
from flagbench.runners.store.upkeep import clear, inventory, verify
from tests.conftest import ROOT
from tests.unit.store_files import (
    IDENTITY,
    age,
    fill,
    got,
    kept,
    put,
    read_only,
    records_of,
    shards_of,
    texts,
    vectors,
)

# More than one process


WRITER = """
import sys
from pathlib import Path
from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.store import Store
from tests.unit.store_files import IDENTITY, texts, vectors
import numpy as np
root, begin, end, rows, wide = Path(sys.argv[1]), *map(int, sys.argv[2:])
space = Store(root, cap_bytes=None, warn=print).space(IDENTITY)
print("ready", flush=True)
sys.stdin.readline()
for number in range(begin, end, rows):
    print(number, flush=True)
    numbers = range(number, number + rows)
    space.put(keys_of(texts(*numbers)), {"values": np.tile(vectors(*numbers), wide)})
"""


def writer(root: Path, *numbers: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), *map(str, numbers)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_write_at_the_same_time(opened: Callable[..., Store], lines: list[str]) -> None:
    store = opened()
    both = [writer(store.root, begin, begin + 600, 3, 1) for begin in (0, 300)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
        assert process.returncode == 0

    assert len(shards_of(store)) == 2
    assert got(store.space(IDENTITY), range(1_000)) == set(range(900))
    checked = verify(store.root)
    assert (checked.records, checked.damaged, checked.torn) == (400, (), 0)
    assert lines == []


@pytest.mark.parametrize("puts", [1, 4, 9])
def test_a_process_killed_in_the_middle_of_writing(opened: Callable[..., Store], lines: list[str], puts: int) -> None:
    store, wide = opened(), 5_000
    process = writer(store.root, 0, 1_000_000, 50, wide)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    for _ in range(puts):
        process.stdout.readline()
    process.kill()
    process.communicate()

    space = store.space(IDENTITY)
    places = space.find(keys_of(texts(*range(5_000))))
    seen = 0
    for indices, arrays in space.blocks(places):
        np.testing.assert_array_equal(arrays["values"], np.tile(vectors(*indices), wide))
        seen += len(indices)
    # The last put that was announced may or may not have come to its end; those before it have.
    assert seen == (places >= 0).sum()
    assert seen >= 50 * (puts - 1)
    put(space, 7_000)
    age(*shards_of(store))
    checked = verify(store.root)
    assert (checked.records, checked.damaged) == (seen // 50 + 1, ())
    assert got(opened().space(IDENTITY), [7_000]) == {7_000}
    assert lines == []


def test_a_forked_process_goes_on_in_a_shard_of_its_own(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    space = store.space(IDENTITY)
    put(space, 1)
    monkeypatch.setattr(os, "getpid", lambda: 4_242)
    put(space, 2)
    assert len(shards_of(store)) == 2
    assert got(space, [1, 2]) == {1, 2}


# A disk that is full, fails, or may not be written


def test_the_identity_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut leaves an empty space.json, and nothing says what the vectors are of."""
    path, real, synced = tmp_path / "space.json", os.fsync, []

    def fsync(handle: int) -> None:
        state = os.fstat(handle)
        synced.append((state.st_ino, state.st_size, path.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    describe(tmp_path, IDENTITY)
    state = path.stat()
    assert synced == [(state.st_ino, state.st_size, False)]
    assert read_identity(tmp_path) == IDENTITY
    describe(tmp_path, IDENTITY | {"role": "passage"})
    assert read_identity(tmp_path) == IDENTITY
    assert len(synced) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_an_identity_that_does_not_get_to_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        describe(tmp_path, IDENTITY)
    assert list(tmp_path.iterdir()) == []
    assert read_identity(tmp_path) == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(small_disk: Path, opened: Callable[..., Store], lines: list[str]) -> None:
    store = opened(small_disk / "store")
    space = store.space(IDENTITY)
    count, message = fill(space)

    assert count > 10
    assert message == (
        f"cannot write to the embedding cache {store.root}: No space left on device; free space, or choose another "
        "--store or run with --no-store"
    )
    (path,) = shards_of(store)
    assert records_of(path)[-1].end == path.stat().st_size
    assert kept(space, count)
    assert kept(opened(small_disk / "store").space(IDENTITY), count)
    put(space, 20_000)
    store.close()
    assert verify(store.root).damaged == ()
    assert lines == []


def test_a_disk_that_may_only_be_read(small_disk: Path, opened: Callable[..., Store], lines: list[str]) -> None:
    root = small_disk / "store"
    first = opened(root)
    put(first.space(IDENTITY), 1, 2)
    first.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = opened(root)
    space = store.space(IDENTITY)

    assert got(space, [1, 2, 3]) == {1, 2}
    for _ in range(2):
        assert space.put(keys_of(texts(3)), {"values": vectors(3)}) is None
    other = store.space(IDENTITY | {"role": "passage"})
    assert other.put(keys_of(texts(3)), {"values": vectors(3)}) is None
    assert lines == [f"the embedding cache {root} cannot be written (Read-only file system): vectors are not cached"]
    assert store.read_only
    assert got(space, [1, 2, 3]) == {1, 2}
    with pytest.raises(BadInput, match="cannot remove"):
        clear(root)


LIMITED = """
import resource, sys
from pathlib import Path
from flagbench.runners.store.store import Store
from tests.unit.store_files import IDENTITY, fill, kept
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
store = Store(Path(sys.argv[1]), cap_bytes=None, warn=print)
count, message = fill(store.space(IDENTITY))
assert kept(store.space(IDENTITY), count)
store.close()
print(count, message)
"""


def test_a_file_that_may_not_grow(opened: Callable[..., Store]) -> None:
    store = opened()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(store.root)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    count, message = done.stdout.strip().split(" ", 1)
    assert message == (
        f"cannot write to the embedding cache {store.root}: File too large; choose another --store or run "
        "with --no-store"
    )
    assert int(count) == 10
    assert kept(store.space(IDENTITY), 10)


def test_a_write_that_fails_half_way(
    opened: Callable[..., Store], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    space = store.space(IDENTITY)
    put(space, 1, 2)
    write, calls = os.write, []

    def failing(fd: int, buffer: Any) -> int:
        calls.append(len(buffer))
        if len(calls) > 1:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return write(fd, buffer[: len(buffer) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing)
        with pytest.raises(BadInput, match="Disk quota exceeded; free space, or choose another --store") as caught:
            put(space, 3)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert got(space, [1, 2, 3]) == {1, 2}
    put(space, 3)
    store.close()
    assert got(opened().space(IDENTITY), [1, 2, 3]) == {1, 2, 3}
    assert len(shards_of(store)) == 1
    assert lines == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_without_permission_vectors_are_not_kept(
    opened: Callable[..., Store], lines: list[str], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    put(opened().space(IDENTITY), 1)
    store = opened()
    read_only(monkeypatch, code)
    for _ in range(2):
        assert store.space(IDENTITY).put(keys_of(texts(2)), {"values": vectors(2)}) is None
    assert lines == [
        f"the embedding cache {store.root} cannot be written ({os.strerror(code)}): vectors are not cached"
    ]
    assert got(store.space(IDENTITY), [1, 2]) == {1}


def test_a_root_that_is_a_file(opened: Callable[..., Store], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = opened(tmp_path / "file")
    with pytest.raises(BadInput, match=r"Not a directory; choose another --store or run with --no-store"):
        put(store.space(IDENTITY), 1)
    for ask in (inventory, verify, clear):
        with pytest.raises(
            BadInput, match=r"cannot read the embedding cache .*file: Not a directory; name another --store"
        ):
            ask(tmp_path / "file")


def test_a_folder_that_is_removed_while_a_shard_is_begun(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    make, removed = store_module.Writer, []

    def racing(folder: Path) -> Any:
        if not removed:
            removed.append(folder)
            shutil.rmtree(folder)
        return make(folder)

    monkeypatch.setattr(store_module, "Writer", racing)
    put(store.space(IDENTITY), 1)
    assert removed
    assert [info.identity for info in inventory(store.root)] == [IDENTITY]


def test_a_shard_removed_while_it_is_written_is_followed_by_a_new_one(opened: Callable[..., Store]) -> None:
    store = opened()
    space = store.space(IDENTITY)
    put(space, 1)
    assert clear(store.root) > 0
    put(space, 2)
    assert got(space, [1, 2]) == {2}
    assert got(opened().space(IDENTITY), [1, 2]) == {2}


@pytest.mark.parametrize(("times", "written"), [(2, True), (3, False)])
def test_a_folder_is_made_again_twice(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch, times: int, written: bool
) -> None:
    store = opened()
    make, removals = store_module.Writer, []

    def racing(folder: Path) -> Any:
        if len(removals) < times:
            removals.append(folder)
            shutil.rmtree(folder)
        return make(folder)

    monkeypatch.setattr(store_module, "Writer", racing)
    if written:
        put(store.space(IDENTITY), 1)
        assert got(store.space(IDENTITY), [1]) == {1}
    else:
        with pytest.raises(BadInput, match="No such file or directory; choose another --store"):
            put(store.space(IDENTITY), 1)
    assert len(removals) == times


@pytest.mark.parametrize(("code", "told"), [(errno.ENOENT, False), (errno.ESTALE, False), (errno.EACCES, True)])
def test_a_shard_that_cannot_be_opened_is_done_without(
    opened: Callable[..., Store], lines: list[str], monkeypatch: pytest.MonkeyPatch, code: int, told: bool
) -> None:
    """When the space is opened, and when it is read later; that it was removed is no news."""
    for number in (1, 2):
        put(opened().space(IDENTITY), number)
    path = shards_of(opened())[0]
    known = opened().space(IDENTITY)
    open_ = os.open

    def refusing(name: Any, *rest: Any, **more: Any) -> int:
        if name == path:
            raise OSError(code, os.strerror(code), str(name))
        return open_(name, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    for space in (known, opened().space(IDENTITY)):
        for _ in range(2):
            assert got(space, [1, 2]) == {2}
    line = f"embedding cache: {path} cannot be read ({os.strerror(code)}); its texts are encoded again"
    assert lines == ([line, line] if told else [])


def test_what_may_not_have_reached_the_disk_is_said(
    opened: Callable[..., Store], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    put(store.space(IDENTITY), 1)
    (path,) = shards_of(store)

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        store.close()
    assert lines == [f"embedding cache: the end of {path} may not be on the disk (Input/output error)"]
    assert got(opened().space(IDENTITY), [1]) == {1}
