"""A study of closed-form trials in a process of its own, to be killed: python -m … FOLDER TRIALS."""

import sys
from pathlib import Path

from jouleshift.hpo.study import run_study
from jouleshift.store import Journal
from tests.toys import Counting, Serial, evaluate

if __name__ == "__main__":
    with Journal(Path(sys.argv[1])) as journal:
        run_study(Counting(), Serial(evaluate), journal, int(sys.argv[2]))
