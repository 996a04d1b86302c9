"""The linear probe of classification tasks, without the threads that slow it down."""

from __future__ import annotations

from typing import Any, Self

from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits


class OneThreadRegression(LogisticRegression):  # type: ignore[misc]
    """scikit-learn's logistic regression, fitted with one thread of BLAS.

    Its problems are small (a few hundred rows), and handing each of their thousands of products to several threads
    costs more than the product: ten probes of TNews take 8 s with two threads and 2 s with one.
    """

    def fit(self, features: Any, labels: Any, sample_weight: Any = None) -> Self:
        """As scikit-learn's."""
        with threadpool_limits(limits=1, user_api="blas"):
            fitted: Self = super().fit(features, labels, sample_weight)
            return fitted


def use_one_thread(task: Any) -> None:
    """Have a task of mteb probe with ``OneThreadRegression`` where it would with scikit-learn's own."""
    probe: Any = getattr(task, "evaluator_model", None)
    if type(probe) is LogisticRegression:
        task.evaluator_model = OneThreadRegression(**probe.get_params())
