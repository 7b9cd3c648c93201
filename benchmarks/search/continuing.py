"""What continuing trials from checkpoints saves: the same trials counted both ways.

    python -m benchmarks.search.continuing

Two lists of trials. The brackets of Hyperband for budgets 1 to 27, each promotion once trained anew and once
continued, which is arithmetic; and the trials that `mo-hyperband` asks for within 540 epochs, on each problem
and 20 seeds: the same list, every promotion paid in full or by what its parent has not trained.
"""

from itertools import islice
from statistics import median

from benchmarks.search.problems import MAX_BUDGET, PROBLEMS, Benchmark
from benchmarks.search.run import evaluated
from jouleshift.hpo import make_scheduler
from jouleshift.hpo.brackets import ladder

EPOCHS, SEEDS, ETA = 540, 20, 3


def hyperband() -> dict[str, float]:
    """Share of the epochs that continuing saves, by bracket."""
    budgets = ladder(1, MAX_BUDGET, ETA)
    saved: dict[str, float] = {}
    sums = [0, 0]
    for first in range(len(budgets)):
        rungs = budgets[first:]
        trials = [ETA ** (len(rungs) - 1 - k) for k in range(len(rungs))]
        anew = sum(n * budget for n, budget in zip(trials, rungs, strict=True))
        steps = [high - low for low, high in zip((0, *rungs), rungs, strict=False)]
        continued = sum(n * step for n, step in zip(trials, steps, strict=True))
        saved[f"bracket from {rungs[0]}"] = 1 - continued / anew
        sums = [sums[0] + anew, sums[1] + continued]
    return {**saved, "all brackets": 1 - sums[1] / sums[0]}


def ours(problem: Benchmark, seed: int) -> float:
    """The share saved in one search."""
    scheduler = make_scheduler(
        "mo-hyperband", problem.space(), problem.objectives, 1, MAX_BUDGET, ETA, seed, problem.known
    )
    budgets: dict[int | None, int] = {None: 0}
    anew = continued = 0
    for trial, _ in islice(evaluated(problem, scheduler, seed), EPOCHS):
        budgets[trial.id] = trial.budget
        anew += trial.budget
        continued += trial.budget - budgets[trial.parent]
        if continued >= EPOCHS:
            break
    return 1 - continued / anew


def main() -> None:
    for name, share in hyperband().items():
        print(f"Hyperband, {name}: {share:.1%}")
    for problem in PROBLEMS.values():
        shares = sorted(ours(problem, seed) for seed in range(SEEDS))
        print(f"mo-hyperband, {problem.name}: {median(shares):.1%} ({shares[0]:.1%} to {shares[-1]:.1%})")


if __name__ == "__main__":
    main()
