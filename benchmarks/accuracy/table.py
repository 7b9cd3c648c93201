"""Write the accuracy table of docs/training.md from the recorded results.

    python -m benchmarks.accuracy.table [RESULTS.csv] [--docs docs/training.md]

Mean and standard deviation over seeds, and the paired difference to float: the same seed gives both networks
the same images in the same order, so the difference is taken seed by seed and its 95 % interval is Student's.
Where the file has results of several lengths, the longest with float in it is shown; where a row has several
learning rates, float and ours at the one that is best for float, DeepShift's each at its own best. A second
table has what `recipe_rows` adds to a row, against that row.
"""

import argparse
import csv
import statistics
from pathlib import Path

from scipy.stats import t as student

from benchmarks.accuracy.rows import Rates, recipe_rows, rows
from benchmarks.accuracy.run import RESULTS

DOCS = Path(__file__).parents[2] / "docs" / "training.md"
LENGTH = ("epochs", "images", "test_images", "batch", "precision")
ACCURACY = ("<!-- accuracy table -->", "<!-- end of accuracy table -->")
RECIPES = ("<!-- recipe table -->", "<!-- end of recipe table -->")


Accuracies = dict[int, float]
"""Per cent, by seed."""


def longest(path: Path) -> tuple[dict[str, str], dict[str, Accuracies]]:
    """The length and, by row, the accuracies of the longest training in the file."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    lengths = [{name: line[name] for name in LENGTH} for line in lines if line["row"] == "float"]
    length = max(lengths, key=lambda found: int(found["epochs"]) * int(found["images"]))
    tried: dict[str, dict[str, Accuracies]] = {}
    for line in lines:
        if all(line[name] == length[name] for name in LENGTH):
            rates = tried.setdefault(line["row"], {})
            rates.setdefault(line["learning_rate"], {})[int(line["seed"])] = 100 * float(line["accuracy"])
    ours = best_rate(tried["float"])
    return length, {
        row: rates[best_rate(rates) if row.startswith("DeepShift") else ours] for row, rates in tried.items()
    }


def best_rate(rates: dict[str, Accuracies]) -> str:
    """The learning rate of the highest mean."""
    return max(rates, key=lambda rate: statistics.mean(rates[rate].values()))


def mean_and_spread(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def paired(row: dict[int, float], base: dict[int, float]) -> str:
    """Mean difference with its 95 % interval, over the seeds that both have."""
    differences = [row[seed] - base[seed] for seed in sorted(row.keys() & base.keys())]
    if len(differences) < 2:
        return ""
    half = student.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    mean = statistics.mean(differences)
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


Table = dict[str, Accuracies]


def markdown(length: dict[str, str], table: Table) -> str:
    text = (
        "ResNet20, all layers shifted, 8-bit activations unless said; {epochs} epochs of {images} images, "
        "batches of {batch},\n{precision}; accuracy on {test_images} test images in per cent, mean ± "
        "standard deviation over n seeds;\npaired difference to float with 95 % interval.\n".format(**length)
    )
    return f"{text}\n{lines_of(table, 'float', dict.fromkeys(table, 'float'))}"


def lines_of(table: Table, base: str, bases: dict[str, str]) -> str:
    """One line a row, with its difference to the row that `bases` names."""
    lines = [f"| row | accuracy | n | − {base} |", "| --- | --- | --- | --- |"]
    for row, accuracies in table.items():
        difference = "" if row == bases[row] else paired(accuracies, table[bases[row]])
        cells = (row, mean_and_spread(list(accuracies.values())), str(len(accuracies)), difference)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def halves(table: Table) -> tuple[Table, Table]:
    """The rows of the accuracy table, and those that show what is added to some of them, with these."""
    rates = Rates(0, 0, 0)
    first, second = (
        {row.name: table[row.name] for row in named if row.name in table}
        for named in (rows(rates), recipe_rows(rates))
    )
    return first, second


def written(page: str, marks: tuple[str, str], text: str) -> str:
    """The page with this text between these marks."""
    before, rest = page.split(marks[0])
    return f"{before}{marks[0]}\n{text}\n{marks[1]}{rest.split(marks[1])[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    length, table = longest(options.results)
    plain, added = halves(table)
    texts = {ACCURACY: markdown(length, plain)}
    texts[RECIPES] = lines_of(added, "without", {name: name.split(", ")[0] for name in added})
    page = options.docs.read_text(encoding="utf-8")
    for marks, text in texts.items():
        page = written(page, marks, text)
        print(text)
    options.docs.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
