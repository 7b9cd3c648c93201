"""What the journal costs at 1,000 and at 100,000 trials.

    python -m benchmarks.search.journal [--trials 1000 100000]

For each size: appends a second at the end of a journal of that size (each flushed to the disk), the same
without the disk's part, seconds to load it, and megabytes. A trial is two events, of a full ResNet20's size.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from jouleshift.journal import Asked, Event, Finished, encode, read_events, records
from jouleshift.records import EnergyReading, Epoch, Evaluation, Trial
from jouleshift.store import JOURNAL, Journal

CONFIG = {
    "batch_size": 128, "optimizer": "SGD", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4,
    "shift_type": "PS", "weight_bits": 5, "activation_integer_bits": 16, "activation_fraction_bits": 16,
    "rounding": "deterministic", "shift_depth": 20,
}  # fmt: skip
EPOCHS = 9
APPENDS = 500


def events_of(number: int) -> list[Event]:
    curve = tuple(Epoch(k, 1.5 / k, 1.6 / k, 0.6 / k, 0.1, 12.345) for k in range(1, EPOCHS + 1))
    causes = ("multiplications", "shifts", "additions", "weights", "activations")
    energy = EnergyReading(
        1.234567e-5, "modelled", "modelled", "asic-45nm", components=dict.fromkeys(causes, 1e-6)
    )
    result = Evaluation(0.123456, energy, curve, EPOCHS, 271_234, 123.456, 0.123)
    return [Asked(Trial(number, CONFIG, EPOCHS, 0)), Finished(number, result, 123.456)]


def appends_per_s(folder: Path, first: int) -> float:
    with Journal(folder) as journal:
        begun = time.perf_counter()
        for number in range(first, first + APPENDS):
            for event in events_of(number):
                journal.append(event)
        return 2 * APPENDS / (time.perf_counter() - begun)


def measure(trials: int, folder: Path) -> str:
    path = folder / JOURNAL
    with path.open("w") as file:
        for number in range(1, trials + 1):
            file.writelines(map(encode, events_of(number)))
    begun = time.perf_counter()
    found = records(read_events(path)[0])
    load_s = time.perf_counter() - begun
    assert len(found) == trials
    size_mb = path.stat().st_size / 2**20
    synced = appends_per_s(folder, trials + 1)
    sync, os.fsync = os.fsync, lambda _: None
    try:
        unsynced = appends_per_s(folder, trials + APPENDS + 1)
    finally:
        os.fsync = sync
    appends = f"{synced:.0f} appends a second, {unsynced:.0f} without the disk"
    return f"{trials}: {appends}, loaded in {load_s:.2f} s, {size_mb:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 100_000])
    for trials in parser.parse_args().trials:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            print(measure(trials, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
