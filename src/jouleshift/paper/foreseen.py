"""What a search cannot tell, known before it begins: whether it can give enough results for importance.

Importance is grown on results of one budget. Hyperband's brackets say in advance how many trials it gives
each: with budgets 1, 3 and 9 a round is 9 + 3 + 1 trials, then 5 + 1 that begin at 3, then 3 at 9. So 20
trials, the fewest of a scaled study, have at most 9 of one budget, below the 12 that a forest needs.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from jouleshift.analysis.importance import FEWEST
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.hpo.brackets import ladder
from jouleshift.words import count


def refuse_too_few(searches: Sequence[StudyConfig]) -> None:
    """Raise BadInput where these searches of one study together cannot have enough results of one budget."""
    most = sum(map(most_of_a_budget, searches))
    if most < FEWEST:
        raise BadInput(
            f"importance needs {FEWEST} results of one budget, and {count(len(searches), 'seed')} of "
            f"{count(searches[0].trials, 'trial')} can give {most}: take more --seeds or --trials, or a "
            "larger --scale"
        )


def most_of_a_budget(search: StudyConfig) -> int:
    """The most trials that a search can have at one budget: all, unless Hyperband's order is fixed, as it is
    for one worker."""
    if search.scheduler != "parego-hyperband" or search.workers != 1:
        return search.trials
    budgets = hyperband_budgets(ladder(search.min_budget, search.max_budget, search.eta), search.eta)
    return max(Counter(islice(budgets, search.trials)).values(), default=0)


def hyperband_budgets(rungs: Sequence[int], eta: int) -> Iterator[int]:
    """The budget of each trial of Hyperband in order, without end; the default configuration is the first.

    >>> list(islice(hyperband_budgets((1, 3), 3), 9))
    [3, 1, 1, 1, 3, 3, 3, 1, 1]
    """
    yield rungs[-1]
    for first in cycle(range(len(rungs))):
        above = len(rungs) - 1 - first
        begun = -(-len(rungs) * eta**above // (above + 1))
        for rung in range(above + 1):
            yield from [rungs[first + rung]] * (begun // eta**rung)
