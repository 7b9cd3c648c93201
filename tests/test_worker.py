"""A worker process, spoken to in its own words."""

import json
import os
import subprocess
import sys
from pathlib import Path

from jouleshift.config import StudyConfig
from jouleshift.hpo.scheduler import plain
from jouleshift.records import Trial, to_json
from jouleshift.space import build_space

MOODY = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.layer = nn.Linear(64 * in_channels, num_classes)

    def forward(self, images):
        if len(images) > 1:
            raise IndexError("no such pixel\\nsecond line")
        return self.layer(images.flatten(1))
"""


def dialogue(folder: Path, *trials: Trial, **settings: object) -> tuple[list[dict], str, int]:
    """What a worker answers, what it logs and how it ends; its input stays open."""
    study = StudyConfig(data="digits", max_budget=1, limit_train=100, limit_val=20, **settings)
    setup = {"study": study.model_dump(mode="json"), "checkpoints": str(folder)}
    messages = [{"setup": setup}, *({"trial": to_json(trial)} for trial in trials)]
    with subprocess.Popen(
        (sys.executable, "-m", "jouleshift.worker"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{os.environ['PYTHONPATH']}{os.pathsep}{folder}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.writelines(json.dumps(message) + "\n" for message in messages)
        process.stdin.flush()
        answers = [json.loads(line) for line in process.stdout]
        return answers, process.stderr.read(), process.wait(30)


def test_a_trial_that_raises_is_told_in_a_line_and_logged_whole(tmp_path):
    (tmp_path / "moody.py").write_text(MOODY)
    trial = Trial(1, plain(build_space(1).get_default_configuration()), 1, seed=0)
    (ready, crashed), log, code = dialogue(tmp_path, trial, model="moody:Net")
    assert ready["ready"]["max_depth"] == 1
    assert crashed == {"crashed": "IndexError: no such pixel"}
    assert "Traceback" in log and "second line" in log
    assert code == 1 and "Fatal Python error" not in log


def test_a_trial_takes_as_many_threads_as_its_study_says(tmp_path):
    (tmp_path / "counted.py").write_text(
        "import torch\n"
        "from jouleshift.models import create\n\n"
        "def net(num_classes, in_channels):\n"
        "    raise RuntimeError(f'{torch.get_num_threads()} threads')\n"
    )
    for threads in (1, 3):
        (answer,), _, _ = dialogue(tmp_path, model="counted:net", threads=threads)
        assert f"{threads} threads" in answer["bad_input"]


def test_a_worker_that_refuses_its_set_up_ends_quietly(tmp_path):
    said = [{"bad_input": "unknown model 'resnet-20' (did you mean 'resnet20'?)"}]
    assert dialogue(tmp_path, model="resnet-20") == (said, "", 0)
