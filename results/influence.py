"""Values of items for scores that are no mean over items: each item's part in a rank correlation, say.

Everything here gives ``v_i = T + psi_i``, where ``T`` is the score and ``psi_i`` its empirical influence function: how
fast the score moves when item ``i`` gets more weight (Hampel, 1974). The ``psi_i`` sum to zero, so the mean of the
values is the score, and their standard deviation over ``sqrt(n)`` is the score's standard error by the infinitesimal
jackknife (Jaeckel, 1972; Efron, 1982). A paired test of the values of two systems is then the test of the difference of
their scores by the delta method.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def spearman_values(first: ArrayLike, second: ArrayLike) -> Values:
    """Values of the pairs behind Spearman's correlation with mid-ranks.

    With ``F`` and ``G`` the mid-distribution functions (share below, and half of the share that is equal: the mid-rank
    less a half, over ``n``), the correlation is ``C / sqrt(V W)``, where ``C = E[F G] - 1/4``, ``V = E[F^2] - 1/4`` and
    ``W = E[G^2] - 1/4``. An item has a part in these by its own ranks, and by moving the ranks of the others::

        dC_i = F_i G_i + E_j[h(x_i, x_j) G_j] + E_j[h(y_i, y_j) F_j] - 3 E[F G]
        dV_i = F_i^2 + 2 E_j[h(x_i, x_j) F_j] - 3 E[F^2]        (dW_i likewise)
        psi_i = dC_i / sqrt(V W) - rho / 2 (dV_i / V + dW_i / W)

    where ``h(a, b)`` is 1 for ``a < b``, 1/2 for equal ones, and else 0. Without ties this is the influence function of
    Croux and Dehon (2010).

    Args:
        first: ``[n]``, finite.
        second: ``[n]``, in step with it.

    Returns:
        ``float64[n]``; NaN where one of the two is constant, as the correlation is.
    """
    x, y = _Ranked(first), _Ranked(second)
    f, g = x.shares, y.shares
    covariance = (f * g).mean() - 0.25
    variances = (f * f).mean() - 0.25, (g * g).mean() - 0.25
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt(variances[0] * variances[1])
        rho = covariance / scale
        of_covariance = f * g + x.above(g) + y.above(f) - 3 * (f * g).mean()
        of_variances = [
            (own * own + 2 * ranked.above(own) - 3 * (own * own).mean()) / variance
            for ranked, own, variance in ((x, f, variances[0]), (y, g, variances[1]))
        ]
        values: Values = rho + of_covariance / scale - rho / 2 * (of_variances[0] + of_variances[1])
    return values


class _Ranked:
    """A row of numbers with what their order says.

    Attributes:
        shares: ``float64[n]``, the mid-distribution function at each.
    """

    def __init__(self, numbers: ArrayLike) -> None:
        _, self._group, self._counts = np.unique(
            np.asarray(numbers, dtype=np.float64), return_inverse=True, return_counts=True
        )
        self._n = len(self._group)
        self.shares: Values = ((np.cumsum(self._counts) - self._counts / 2) / self._n)[self._group]

    def above(self, weights: Values) -> Values:
        """Of each number: the weights of all larger ones and half of the weights of equal ones, over ``n``."""
        sums = np.bincount(self._group, weights=weights, minlength=len(self._counts))
        larger_or_equal = np.cumsum(sums[::-1])[::-1]
        found: Values = (larger_or_equal - sums / 2)[self._group] / self._n
        return found


def average_precision_values(labels: ArrayLike, scores: ArrayLike) -> Values:
    """Values of the items behind an average precision, as scikit-learn computes it: by linearised leave-one-out.

    With groups of equal scores, best first, that have ``p_g`` positives each, and ``t_g`` positives among the ``m_g``
    items down to their end, ``AP = sum_g p_g t_g / m_g / P``. Without item ``i`` the terms of the groups before its own
    stay, its group's counts lose it, and of later groups ``t_g`` and ``m_g`` do::

        v_i = AP + (n - 1) (mean_j AP_(-j) - AP_(-i))

    which is the jackknife's estimate of the influence (Miller, 1974; Efron, 1982), in ``O(n log n)`` for all of them.

    Args:
        labels: ``[n]``, 1 for positives and 0 for negatives.
        scores: ``[n]``, finite; larger for what is likelier a positive.

    Returns:
        ``float64[n]``.
    """
    positive = np.asarray(labels, dtype=np.float64)
    _, group, items = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True, return_counts=True)
    own = np.bincount(group, weights=positive, minlength=len(items))
    found, seen = np.cumsum(own), np.cumsum(items).astype(np.float64)
    total, n = found[-1], len(positive)
    terms = own * found / seen
    before = np.cumsum(terms) - terms
    less = np.maximum(seen - 1, 1)  # 0 only of a first group of one item, which leaves nothing behind
    after = _suffixes(own * found / less)
    after_each = _suffixes(own / less)
    without = (
        before[group]
        + (own[group] - positive) * (found[group] - positive) / less[group]
        + after[group]
        - positive * after_each[group]
    ) / np.maximum(total - positive, 1)
    precision = terms.sum() / max(total, 1)
    values: Values = precision + (n - 1) * (without.mean() - without)
    return values


def _suffixes(terms: Values) -> Values:
    """Of each place: the sum of the terms behind it."""
    sums: Values = np.cumsum(terms[::-1])[::-1] - terms
    return sums


def best_accuracy_values(labels: ArrayLike, scores: ArrayLike) -> Values:
    """Tell for each item whether the threshold of the highest accuracy, as mteb finds it, classifies it correctly.

    The threshold is itself found on the items. But at the best one the accuracy neither rises nor falls with it, so to
    first order it stays where it is, and an item's influence is that of a fixed threshold (the envelope theorem).

    Args:
        labels: ``[n]``, 1 for positives and 0 for negatives.
        scores: ``[n]``, finite; larger for what is likelier a positive.

    Returns:
        ``float64[n]``, each 0 or 1. Thresholds lie between different scores, the highest of equally good ones is taken,
        and with none at all (all scores are equal) every value is 0.
    """
    given, negated = np.asarray(labels), -np.asarray(scores, dtype=np.float64)
    positive = given == 1
    edges, group = np.unique(negated, return_inverse=True)
    if len(edges) < 2:
        return np.zeros(len(given))
    gains = np.bincount(group, weights=np.where(positive, 1.0, -1.0), minlength=len(edges))
    best = int(np.argmax(np.cumsum(gains)[:-1]))
    return np.where(positive, group <= best, (group > best) & (given == 0)).astype(np.float64)
