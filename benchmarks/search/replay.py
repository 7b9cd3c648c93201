"""How long it takes to continue a search: its scheduler told every recorded trial again, without a proposal.

    python -m benchmarks.search.replay [--trials 10000] [--energy exact]

A search on the paper's space with the results of the problem table1 is recorded; then a fresh scheduler is
brought to its state from the events, as `hpo.study` does when a run directory is continued, and both must
propose the same next. Seconds of the whole replay beside those of the search itself.
"""

import argparse
import time

from benchmarks.search.overhead import make, tell
from benchmarks.search.problems import PROBLEMS, table1
from benchmarks.search.recorded import DIGITS
from jouleshift.hpo.study import replay
from jouleshift.journal import Asked, Event, Finished
from jouleshift.records import EnergyReading, Evaluation, Trial


def finished(trial: Trial, error: float, energy_j: float) -> Finished:
    reading = EnergyReading(energy_j, "modelled", "modelled", "asic-45nm")
    return Finished(trial.id, Evaluation(error, reading, (), trial.budget, 0, 0.0, 0.0), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--energy", choices=("exact", "toy"), default="exact")
    options = parser.parse_args()
    energy = DIGITS.energy if options.energy == "exact" else PROBLEMS["table1"].known["energy_j"]
    scheduler, events = make("mo-hyperband", energy), list[Event]()
    begun = time.perf_counter()
    for _ in range(options.trials):
        trial = scheduler.ask()
        assert trial is not None
        error = table1(trial.config, trial.budget, 0)["error"]
        events += [Asked(trial), finished(trial, error, energy(trial.config))]
        tell(scheduler, trial, energy)
    search_s = time.perf_counter() - begun
    again = make("mo-hyperband", energy)
    begun = time.perf_counter()
    replay(again, events)
    replay_s = time.perf_counter() - begun
    assert again.ask() == scheduler.ask()
    print(
        f"{options.trials} trials: proposed in {search_s:.0f} s, told again in {replay_s:.1f} s, "
        f"{1e3 * replay_s / options.trials:.2f} ms each"
    )


if __name__ == "__main__":
    main()
