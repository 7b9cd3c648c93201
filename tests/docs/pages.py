"""The commands and snippets of README.md and docs/*.md, and what a test changes in them to be quick.

A page is a story: its commands run from top to bottom in one directory, so that a later one finds what an
earlier one has made.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

NOT_RUN = {
    "python3 -m venv": "installs from the network",
    "python -m benchmarks.": "hours; the benchmarks have tests of their own",
    "jouleshift paper all": "days on a GPU; each experiment alone is run",
    "pip install optuna-dashboard": "installs from the network",
    "optuna-dashboard ": "serves until it is stopped; tests/report/test_interop.py reads the file",
    "tensorboard ": "serves until it is stopped; tests/tracking reads the events",
    "mlflow ": "serves until it is stopped",
    "jouleshift search photos/ --model tiny --trials 60 --out runs/logged --track mlflow": "needs mlflow; "
    "tests/tracking runs where it is installed",
    "dask ": "needs a cluster; tests/hpo/test_cluster*.py have workers of their own",
    "jouleshift search digits --model tiny --trials 20 --out /shared": "needs a cluster",
    "jouleshift search digits --energy deployed --power-w 15 --measure-on": "needs a cluster",
}
"""Beginnings of commands that no test runs, and why. Those of ours are still checked against the parser."""

TINY = {
    "search": "--trials 3 --max-budget 1 --limit-train 40 --limit-val 20",
    "demo": "--trials 2",
    "paper": "--scale 0.01 --seeds 1 --trials 2 --max-budget 1 --limit-train 40 --limit-val 20 "
    "--scheduler random --device cpu --cifar10 photos --caltech101 photos",
    "verify": "--seeds 1",
    "measure": "--power-w 10",
}
"""Settings by which a command of a page is quick; they replace its own."""

CHANGED = {
    "accuracy >= 40 %": "accuracy >= 0 %",
    "trial-12": "trial-1",
    "--device cuda": "--device cpu",
    "trials=60": "trials=3, max_budget=1, limit_train=40, limit_val=20",
}
"""What else is other in a test than on the page: results nobody can know, machines that are not here."""


@dataclass(frozen=True)
class Snippet:
    """A fenced block: `language` is sh or python."""

    page: str
    line: int
    language: str
    text: str


def files(page: Path) -> dict[str, str]:
    """Python blocks that are files: their first line is the name as a comment."""
    named = ((re.match(r"# (\w+\.py)\n", s.text), s.text) for s in snippets(page) if s.language == "python")
    return {name.group(1): text for name, text in named if name}


def snippets(page: Path) -> list[Snippet]:
    """The blocks of a page that can be run, in order."""
    text = page.read_text(encoding="utf-8")
    name = str(page.relative_to(ROOT))
    return [
        Snippet(name, text[: m.start()].count("\n") + 1, m.group(1), m.group(2))
        for m in re.finditer(r"^```(sh|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]


def commands(text: str) -> list[str]:
    """The commands of a shell block, one each, without comments."""
    joined = text.replace("\\\n", " ")
    joined = re.sub(r"^PYTHONPATH=\. ", "", joined, flags=re.MULTILINE)  # `python -m` has it anyway
    found = [shlex.join(shlex.split(line, comments=True)) for line in joined.splitlines()]
    return [command for command in found if command]


def inline_commands(page: Path) -> list[str]:
    """Commands inside sentences, such as `jouleshift verify RUN`; those with an ellipsis are no commands."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [c for c in re.findall(r"`(jouleshift [^`]+)`", text) if "…" not in c and "DATA" not in c]


def why_not_run(command: str) -> str | None:
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)


def quick(command: str) -> list[str]:
    """The words of one of our commands with tiny settings in place of its own."""
    for old, new in CHANGED.items():
        command = command.replace(old, new)
    program, verb, *words = shlex.split(command)
    tiny = shlex.split(TINY.get(verb, ""))
    replaced = set(tiny[::2])
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word not in replaced:
            kept.append(word)
        skip = word in replaced
    return [program, verb, *kept, *tiny]
