"""The linear probe is scikit-learn's own, on one thread of BLAS."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from flagbench.runners.mteb.probe import OneThreadRegression, use_one_thread


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return numbers.standard_normal((60, 8)) + labels[:, None], labels


def test_it_predicts_as_the_one_that_it_replaces(rows: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = rows
    own = LogisticRegression(max_iter=200, random_state=3, C=0.5)
    task = SimpleNamespace(evaluator_model=own)
    use_one_thread(task)
    assert type(task.evaluator_model) is OneThreadRegression
    assert task.evaluator_model.get_params() == own.get_params()
    fitted = clone(task.evaluator_model).fit(features, labels)
    np.testing.assert_allclose(
        fitted.predict_proba(features), own.fit(features, labels).predict_proba(features), atol=1e-6
    )


def test_blas_has_one_thread_while_it_fits(
    rows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = LogisticRegression.fit

    def fit(self: LogisticRegression, *arguments: object) -> LogisticRegression:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return real(self, *arguments)

    monkeypatch.setattr(LogisticRegression, "fit", fit)
    with threadpool_limits(2, user_api="blas"):  # also where the environment allows one
        OneThreadRegression().fit(*rows)
    assert set(seen) == {1}


@pytest.mark.parametrize("task", [SimpleNamespace(), SimpleNamespace(evaluator_model=KNeighborsClassifier())])
def test_other_probes_stay(task: SimpleNamespace) -> None:
    before = dict(vars(task))
    use_one_thread(task)
    assert vars(task) == before
