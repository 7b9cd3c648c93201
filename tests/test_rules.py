"""The house rules, run as tests: style, types, the two islands, and what must stay out of the repository."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "ruff", "check", "."),
        ("-m", "ruff", "format", "--check", "."),
        ("-m", "mypy"),
        ("-c", "from importlinter.cli import lint_imports_command as run; run()"),
    ],
    ids=("ruff", "format", "mypy", "import-linter"),
)
def test_the_tree_passes(command):
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_does_no_work():
    script = "import sys, jouleshift; print(sorted(m for m in sys.modules if m.startswith('jouleshift')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['jouleshift']"


def test_help_loads_no_heavy_library_and_answers_at_once():
    script = (
        "import sys\n"
        "from jouleshift.cli import app\n"
        "app('--help')\n"
        "heavy = {'torch', 'numpy', 'smac', 'ConfigSpace', 'sklearn', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 5, "generous: the figure itself is in benchmarks/"
