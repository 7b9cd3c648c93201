"""Write the speed tables of docs/training.md from the recorded timings.

    python benchmarks/training_table.py [--docs docs/training.md]

Ratios are medians over rounds, taken within each round, with quartiles; times are wall time.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from measuring import RESULTS

DOCS = Path(__file__).parents[1] / "docs" / "training.md"
NETWORKS = ("resnet20", "mobilenetv2", "googlenet")
START, END = "<!-- speed tables -->", "<!-- end of speed tables -->"


def quartiles(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['q1']:.2f} to {ratio['q3']:.2f})"


def step_table(measured: dict[str, Any]) -> list[str]:
    """Rows of one network: time, ratio to float, how much faster than DeepShift's, memory."""
    rounds = measured["steps"]["float"]["wall_s"]["n"]
    share = 100 * measured["input"]["share"]
    lines = [
        f"{measured['model']}, batches of {measured['batch']}, n = {rounds}; "
        f"input handling takes {share:.1f} % of a step:",
        "",
        "| layers | ms | × float | DeepShift's / ours | kept, × float |",
        "| --- | --- | --- | --- | --- |",
    ]
    base = measured["saved_bytes"]["float"]
    for variant, times in measured["steps"].items():
        faster = measured["deepshift_to"].get(variant)
        kept = measured["saved_bytes"].get(variant)
        cells = (
            variant,
            f"{1e3 * times['wall_s']['median']:.0f}",
            quartiles(times["ratio_to_float"]["wall"]),
            quartiles(faster["wall"]) if faster else "",
            f"{kept / base:.2f}" if kept else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def epoch_table(measured: dict[str, Any]) -> list[str]:
    lines = [
        f"An epoch of ResNet20 on {measured['images']} images, validation on a quarter as many:",
        "",
        "| loop | s | × the first |",
        "| --- | --- | --- |",
    ]
    for name, times in measured["rows"].items():
        ratio = quartiles(times["ratio_to_ours"]["wall"])
        lines.append(f"| {name} | {times['wall_s']['median']:.2f} | {ratio} |")
    return lines


def conditions(environment: dict[str, Any]) -> str:
    return "{cpu}, {capability}, {threads} threads, PyTorch {torch}, {date}.".format(**environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    lines: list[str] = []
    for name in NETWORKS:
        lines += step_table(json.loads((RESULTS / f"train_step_{name}.json").read_text()))
    epochs = json.loads((RESULTS / "epoch_loop_resnet20.json").read_text())
    lines = [conditions(epochs["environment"]), "", *lines, *epoch_table(epochs)]
    before, rest = options.docs.read_text(encoding="utf-8").split(START)
    text = "\n".join(lines)
    options.docs.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
