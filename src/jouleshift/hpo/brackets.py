"""Asynchronous successive halving: who may move up to the next budget, decided without waiting.

Successive halving trains many configurations for few epochs and moves one in `eta` up to `eta` times as
many. Done in closed rounds, workers wait for the slowest trial of a rung. Asynchronously (ASHA; Li et al.,
2020), a rung with n finished trials has room for ⌊n / eta⌋ promotions at any moment; whoever is best by
then takes the next one, and if there is no room in any rung, a new configuration starts at the bottom. No
worker idles, and each rung is given about the same number of epochs, as Hyperband's first bracket gives it.

Which trial is best is not decided here.
"""

from collections.abc import Iterator


def ladder(min_budget: int, max_budget: int, eta: int) -> tuple[int, ...]:
    """Budgets of the rungs in whole epochs, lowest first, the last is `max_budget`.

    >>> ladder(1, 27, 3)
    (1, 3, 9, 27)
    """
    budgets: list[int] = []
    exact = float(max_budget)
    while exact >= min_budget - 1e-9:
        budgets.append(round(exact))
        exact /= eta
    return tuple(reversed(budgets))


class Rungs:
    """Finished trials by rung, and which of them have moved up."""

    def __init__(self, n_rungs: int, eta: int) -> None:
        self._eta = eta
        self._finished = [0] * n_rungs
        self._promoted = [0] * n_rungs
        self._waiting: list[dict[int, None]] = [{} for _ in range(n_rungs)]

    def finish(self, rung: int, trial_id: int, failed: bool) -> None:
        """A trial has ended. A failed one makes room like any other but never moves up."""
        self._finished[rung] += 1
        if not failed:
            self._waiting[rung][trial_id] = None

    def promote(self, rung: int, trial_id: int) -> None:
        del self._waiting[rung][trial_id]
        self._promoted[rung] += 1

    def openings(self) -> Iterator[tuple[int, list[int]]]:
        """Rungs with room for a promotion, the highest first, and the trials that wait there."""
        for rung in range(len(self._finished) - 2, -1, -1):
            if self._finished[rung] // self._eta > self._promoted[rung] and self._waiting[rung]:
                yield rung, list(self._waiting[rung])
