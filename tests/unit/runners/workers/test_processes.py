"""A pool of two processes: the numbers of one adapter, and what becomes of a chunk when its worker is lost."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flagbench import BadData, BadInput, FlagbenchError, ModelFault
from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.contract import LayeredScorer, Parallel
from flagbench.models.device import joint_device
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.encode import TextEncoder, score_pairs
from flagbench.runners.progress import Silent
from flagbench.runners.workers import pool as pool_module
from flagbench.runners.workers import processes
from flagbench.runners.workers.pool import Block, Facts, Load, Message, Pool, WorkerError
from flagbench.runners.workers.processes import _ProcessWorker, pool_on
from tests.conftest import ROOT
from tests.saying import with_settings
from tests.unit import worker_models
from tests.unit.worker_models import ENCODER, LAYERED, SCORER

TEXTS = [f"{letter} " * (1 + row % 7) + str(row) for row, letter in enumerate("abcdefghij" * 20)]
SECONDS = 60.0  # nobody waits so long unless something is broken

Opened = Callable[..., Pool]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Start a pool of two, without torch in its workers."""
    pools: list[Pool] = []

    def make(load: Load, spec: object = ENCODER, **settings: float) -> Pool:
        start = functools.partial(_ProcessWorker, load, "cpu", None)
        pools.append(Pool(spec, [start, start], "cpu", **settings))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def troubled(opened: Opened, tmp_path: Path) -> Pool:
    os.mkfifo(tmp_path / "meeting")
    return opened(functools.partial(worker_models.load_troubled, tmp_path))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (16, 1_000))


def count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").split())


def is_right(pool: Pool, *texts: str) -> bool:
    given = pool.encode(texts, role="query").dense
    expected = FakeEncoder(ENCODER).encode(texts, role="query").dense
    return given is not None and expected is not None and np.array_equal(given, expected)


def both_work(pool: Pool) -> bool:
    """Whether two workers answer at the same time: each of these two texts waits for the other one."""
    with ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(is_right, pool, text) for text in ("read", "write")]
        return all(wait.result(timeout=SECONDS) for wait in waits)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.usefixtures("small_chunks")
def test_two_processes_give_the_vectors_of_one_adapter() -> None:
    pool = pool_on(("cpu", "cpu"), ENCODER, worker_models.load_plain)
    try:
        assert isinstance(pool, Parallel)
        assert (pool.lanes, pool.device, pool.backend) == (2, "cpu", "numpy")
        assert (pool.capabilities, pool.parts) == ({"encode"}, {"dense"})
        vectors = TextEncoder(pool, Silent()).encode(TEXTS, role="passage", instruction="says: ")
    finally:
        pool.close()
    alone = TextEncoder(FakeEncoder(ENCODER), Silent()).encode(TEXTS, role="passage", instruction="says: ")
    assert vectors.tobytes() == alone.tobytes()


def test_chunks_may_take_twenty_times_the_longest_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is slow for a model is no hang: a worker that is ended for it would be ended again and again."""
    now, waits = [0.0], []

    class Slow:
        def ready(self) -> Facts:
            return Facts(frozenset({"encode"}), frozenset({"dense"}), "numpy")

        def call(self, message: Message | Block, patience: float) -> None:
            assert not isinstance(message, Block)
            waits.append(patience)
            now[0] += float(message[2][0])

        def kill(self) -> None: ...

    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pool = Pool(ENCODER, [Slow], "cpu", patience=100.0)
    for seconds in ("4", "30", "1", "2"):
        pool.encode([seconds], role="query")
    assert waits == [100.0, 100.0, 600.0, 600.0]


@pytest.mark.usefixtures("small_chunks")
def test_two_processes_give_the_scores_of_one_adapter(opened: Opened) -> None:
    pool = opened(worker_models.load_scorer, SCORER)
    pairs = [(text, TEXTS[-row]) for row, text in enumerate(TEXTS)]
    scores = score_pairs(pool, pairs, instruction="find: ", progress=Silent())
    alone = score_pairs(FakeScorer(SCORER), pairs, instruction="find: ", progress=Silent())
    assert scores.tobytes() == alone.tobytes()
    assert scores.tobytes() == pool.score(pairs, instruction="find: ").tobytes()


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_whose_worker_dies_is_given_again(troubled: Pool, tmp_path: Path) -> None:
    texts = [*TEXTS, "die once"]
    vectors = TextEncoder(troubled, Silent()).encode(texts, role="query")
    alone = TextEncoder(FakeEncoder(ENCODER), Silent()).encode(texts, role="query")
    assert vectors.tobytes() == alone.tobytes()
    assert is_right(troubled, "die once")
    assert both_work(troubled)
    assert (tmp_path / "died").exists()
    assert count(tmp_path / "loaded") == 3


def test_a_text_that_kills_every_worker_fails_after_two_attempts(troubled: Pool, tmp_path: Path) -> None:
    with pytest.raises(ModelFault) as caught:
        troubled.encode(["die always"], role="query")
    died = "the worker on cpu died with exit code 7"
    assert str(caught.value) == f"{ENCODER.name}: the same texts could not be run: {died}; {died}"
    assert count(tmp_path / "attempts") == 2
    assert is_right(troubled, "another text")
    assert both_work(troubled)


def test_a_worker_that_hangs_is_replaced(opened: Opened, tmp_path: Path) -> None:
    pool = opened(functools.partial(worker_models.load_troubled, tmp_path), patience=1.0)
    assert is_right(pool, "hang once")
    with pytest.raises(ModelFault, match=r"could not be run: the worker on cpu gave no answer in \d+ s; the worker"):
        pool.encode(["hang always"], role="query")
    assert count(tmp_path / "attempts") == 2
    assert is_right(pool, "another text")


def test_an_error_in_a_worker_has_its_traceback_and_is_not_tried_again(troubled: Pool, tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as caught:
        troubled.encode(["raise"], role="query")
    first, *others = str(caught.value).splitlines()
    assert first == "ZeroDivisionError: the text said so"
    assert any("worker_models.py" in line for line in others)
    assert count(tmp_path / "attempts") == 1
    with pytest.raises(BadInput, match=r"^this text is not for me$"):
        troubled.encode(["refuse"], role="query")
    assert both_work(troubled)
    assert count(tmp_path / "loaded") == 2


@pytest.mark.parametrize(
    ("load", "kind", "said"),
    [
        (worker_models.load_refused, BadInput, "the weights are not there: see --model"),
        (worker_models.load_broken, WorkerError, "ArithmeticError: the weights make no sense"),
        (worker_models.load_dying, ModelFault, "could not be loaded: the worker on cpu died with exit code 9"),
    ],
)
def test_what_cannot_be_loaded_says_so_and_leaves_no_process(
    opened: Opened, load: Load, kind: type[Exception], said: str
) -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(kind) as caught:
        opened(load)
    assert said in str(caught.value).splitlines()[0]
    assert not set(multiprocessing.active_children()) - before


def test_the_other_workers_go_on_alone_where_none_can_be_started(opened: Opened, tmp_path: Path) -> None:
    pool = opened(functools.partial(worker_models.load_but_once, tmp_path))
    assert is_right(pool, "die once")
    assert is_right(pool, "another text")
    with pytest.raises(ModelFault, match=r"exit code 7; no worker is left$"):
        pool.encode(["die always"], role="query")
    with pytest.raises(ModelFault, match=r"could not be run: no worker is left$"):
        pool.encode(["another text"], role="query")


def test_a_layer_reaches_the_workers(opened: Opened) -> None:
    pool = opened(worker_models.load_layered, LAYERED)
    assert isinstance(pool, LayeredScorer)
    for layer in (8, 24):
        other = pool.reading(with_settings(LAYERED, cutoff_layer=layer))
        assert other.spec.own.cutoff_layer == layer
        assert other.score([("a", "b")] * 3).tolist() == [layer] * 3
    assert pool.score([("a", "b")]).tolist() == [LAYERED.own.cutoff_layer]


def test_the_same_weights_under_another_name_are_read_as_they_are(opened: Opened) -> None:
    pool = opened(worker_models.load_scorer, SCORER)
    pairs = [("a", "b"), ("c", "d")]
    again = pool.reading(replace(SCORER, name="local/copy"))
    assert again.score(pairs).tobytes() == pool.score(pairs).tobytes()


def test_close_ends_the_processes_and_whoever_waits(opened: Opened) -> None:
    before = set(multiprocessing.active_children())
    pool = opened(worker_models.load_plain)
    assert len(set(multiprocessing.active_children()) - before) == 2
    pool.close()
    assert not set(multiprocessing.active_children()) - before
    with pytest.raises(ModelFault, match="could not be run"):
        pool.encode(["too late"], role="query")
    pool.close()


def test_a_killed_parent_takes_its_workers_with_it() -> None:
    code = (
        "import functools, multiprocessing, sys\n"
        "from flagbench.runners.workers.processes import pool_on\n"
        "from tests.unit.worker_models import ENCODER, load_plain\n"
        "if __name__ == '__main__':\n"
        "    pool = pool_on(('cpu', 'cpu'), ENCODER, load_plain)\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        assert not any(map(gone, workers))
        parent.kill()
    until = time.monotonic() + 10
    while not all(map(gone, workers)):
        assert time.monotonic() < until, "the workers outlived their parent"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("devices", "cores", "device", "threads"),
    [
        (("cpu", "cpu", "cpu"), 8, "cpu", 2),
        (("cpu", "cpu", "cpu"), 2, "cpu", 1),
        (("cpu", "cpu"), None, "cpu", 1),
        (("cuda:0", "cuda:3"), 8, "cuda", None),
    ],
)
def test_each_worker_has_its_device_and_its_share_of_the_cores(
    devices: tuple[str, ...], cores: int | None, device: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "Pool", lambda *given: given)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    spec, starts, where = pool_on(devices, ENCODER, worker_models.load_plain)  # type: ignore[misc]
    assert (spec, where) == (ENCODER, joint_device(devices))
    assert str(where).startswith(device)
    assert [start.args for start in starts] == [(worker_models.load_plain, each, threads) for each in devices]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (BadData("no rows"), BadInput, "no rows"),
        (ModelFault("NaN"), ModelFault, "NaN"),
        (FlagbenchError("other"), ModelFault, "other"),
        (KeyError("x"), WorkerError, "KeyError: 'x'"),
    ],
)
def test_an_error_is_sent_in_a_form_that_its_code_survives(error: Exception, kind: type[Exception], said: str) -> None:
    def fails() -> None:
        raise error

    sent = pool_module.outcome(fails)
    assert type(sent) is kind
    assert str(sent).splitlines()[0] == said
    with pytest.raises(kind):
        pool_module.unwrapped(pickle.loads(pickle.dumps(sent)))
    assert pool_module.unwrapped(pool_module.outcome(lambda: 7)) == 7


def test_a_worker_says_of_its_model_what_it_states_and_reads_it_at_another_spec_where_it_can() -> None:
    plain = SimpleNamespace(spec=SCORER, capabilities=frozenset({"score"}), backend="b", score=lambda texts: texts)
    served = pool_module.Served(lambda *, device: plain, "cpu")  # type: ignore[arg-type]
    assert served.facts() == Facts(frozenset({"score"}), frozenset(), "b", frozenset({"text"}))
    assert served.answer(("score", replace(SCORER, name="o/other"), [1, 2], {})) == [1, 2]
    stated = SimpleNamespace(**vars(plain), parts=frozenset({"sparse"}), modalities=frozenset({"image"}))
    served = pool_module.Served(lambda *, device: stated, "cpu")  # type: ignore[arg-type]
    assert served.facts() == Facts(frozenset({"score"}), frozenset({"sparse"}), "b", frozenset({"image"}))


def test_a_pool_states_what_its_first_worker_says() -> None:
    facts = [
        Facts(frozenset({"encode"}), frozenset({"sparse"}), "one", frozenset({"image"})),
        Facts(frozenset({"score"}), frozenset(), "two"),
    ]

    def start(number: int) -> Any:
        return SimpleNamespace(ready=lambda: facts[number], kill=lambda: None)

    pool = Pool(ENCODER, [functools.partial(start, number) for number in (0, 1)], "cuda")
    assert (pool.capabilities, pool.parts, pool.backend, pool.modalities) == tuple(vars(facts[0]).values())
    assert (pool.lanes, pool.device) == (2, "cuda")
    pool.close()
