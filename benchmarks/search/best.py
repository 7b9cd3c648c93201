"""The hypervolume that regret is measured from: the best that very many evaluations at full budget find.

    python -m benchmarks.search.best --out benchmarks/search/results/best.csv

Random configurations first, then rounds of mutations of the front. With the noise of `table1` this includes
luck that no search of a thousand epochs can have; it is the same for all.
"""

import argparse
import csv
from pathlib import Path

import moocore
import numpy as np
from numpy.typing import NDArray

from benchmarks.search.problems import MAX_BUDGET, PROBLEMS, Benchmark
from jouleshift.hpo.acquisition.ehvi import pareto_mask
from jouleshift.hpo.encoding import Encoding

ROUND = 500


def best(problem: Benchmark, evaluations: int) -> float:
    rng = np.random.default_rng(0)
    encoding = Encoding(problem.space())
    vectors = np.empty((0, len(encoding.names)))
    points = np.empty((0, len(problem.objectives)))
    for done in range(0, evaluations, ROUND):
        if done < evaluations // 4:
            new = encoding.sample(ROUND, rng)
        else:
            new = encoding.mutate(vectors[rng.integers(len(vectors), size=ROUND)], rng)
        vectors, points = np.vstack([vectors, new]), np.vstack([points, _evaluated(problem, encoding, new)])
        front = pareto_mask(points)
        vectors, points = vectors[front], points[front]
    return float(moocore.hypervolume(points, ref=np.array(problem.reference)))


def _evaluated(problem: Benchmark, encoding: Encoding, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    values = [problem.evaluate(config, MAX_BUDGET, 0) for config in encoding.values(vectors)]
    return np.array([[value[name] for name in problem.objectives] for value in values])


def read(path: Path) -> dict[str, float]:
    with path.open() as file:
        return {row["problem"]: float(row["hypervolume"]) for row in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluations", type=int, default=40_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("problem", "hypervolume"))
        for problem in PROBLEMS.values():
            writer.writerow((problem.name, f"{best(problem, options.evaluations):.6f}"))
            file.flush()


if __name__ == "__main__":
    main()
