"""A run directory in the real DeepCAVE, which wants Python 3.10 or older and so an environment of its own.

python3.10 -m venv deepcave && deepcave/bin/pip install DeepCAVE==1.4.1
JOULESHIFT_DEEPCAVE=deepcave/bin/python python -m pytest -m slow tests/report/test_deepcave.py
"""

import json
import os
import subprocess

import pytest

from jouleshift.report.interop import write_as
from tests.analysis.synthetic import hyperband_run
from tests.report.test_interop import WORLD, space

PYTHON = os.environ.get("JOULESHIFT_DEEPCAVE")

READ = """
import json, sys
from pathlib import Path
from deepcave.evaluators.fanova import fANOVA
from deepcave.runs.converters.dataframe import DataFrameRun
from deepcave.runs.converters.smac3v2 import SMAC3v2Run
run = {"smac3": SMAC3v2Run, "deepcave": DataFrameRun}[sys.argv[1]].from_path(Path(sys.argv[2]))
error, energy = run.get_objectives()[:2]
importance = fANOVA(run)
importance.calculate(objectives=energy, budget=run.get_budget(0), n_trees=16, seed=0)
shares = {name: value[0] for name, value in importance.get_importances(depth=1).items()}
print(json.dumps([len(list(run.get_trials())), error.name, energy.name, max(shares, key=shares.get)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="JOULESHIFT_DEEPCAVE names no python that has DeepCAVE")
@pytest.mark.parametrize("form", ["smac3", "deepcave"])
def test_deepcave_itself_opens_a_run_and_finds_what_matters(form, tmp_path):
    place = write_as(form, hyperband_run(200, path=tmp_path / "run"), space(), WORLD)
    done = subprocess.run([PYTHON, "-W", "ignore", "-c", READ, form, place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    trials, error, energy, first = json.loads(done.stdout.splitlines()[-1])
    assert (trials, error, energy) == (200, "error", "energy_j")
    assert first in ("shift_depth", "act_integer_bits", "act_fraction_bits")
