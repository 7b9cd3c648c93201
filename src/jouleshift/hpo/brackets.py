"""The ladder of budgets: what a trial is trained for before it is judged again.

Successive halving and Hyperband train many configurations for few epochs and give a part of them `eta` times
as many (Jamieson and Talwalkar, 2016; Li et al., 2018). The rungs are theirs; who moves up, and when, is
decided elsewhere.
"""


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
