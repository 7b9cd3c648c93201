"""docs/cluster.md followed on one machine: its file checked, its commands run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jouleshift import store
from jouleshift.config import StudyConfig
from jouleshift.hpo.jobqueue import read_cluster
from tests.hpo.dask_processes import DaskProcesses

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
QUICK = ("--max-budget", "3", "--limit-train", "200", "--scheduler", "mo-hyperband", "--threads", "1")
SEARCH = ("search", "digits", "--model", "tiny", "--out", "run", *QUICK)
SBATCH = """#!/bin/sh
setsid bash "$1" >/dev/null 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -- -"$job"; done
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def jouleshift(folder: Path, *arguments: object, path: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "jouleshift", *map(str, arguments)]
    environment = {**os.environ, "PATH": os.pathsep.join(filter(None, [path, os.environ["PATH"]]))}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def trials(run: Path) -> list[tuple]:
    return [(r.trial, getattr(r.result, "objectives", r.result)) for r in store.read_run(run).trials]


def test_the_documented_file_is_accepted_and_gives_the_job_it_describes(tmp_path):
    (text,) = blocks("yaml")
    (tmp_path / "cluster.yaml").write_text(text)
    kind, jobs, options = read_cluster(tmp_path / "cluster.yaml")
    script = kind.job_cls("tcp://head:8786", name="one", **options).job_script()
    assert jobs == 8
    for line in (
        "#SBATCH -p gpu",
        "#SBATCH -t 04:00:00",
        "#SBATCH --gres=gpu:1",
        "--nthreads 4",
    ):
        assert line in script
    assert script.index("source /shared/venv/bin/activate") < script.index("dask_worker")


def test_every_documented_option_exists():
    mine = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jouleshift")]
    options = re.findall(r"--([a-z][a-z-]+)", " ".join(mine + re.findall(r"`(--.*?)`", PAGE)))
    of_others = {"nthreads", "nworkers"}
    assert {name.replace("-", "_") for name in set(options) - of_others} <= set(StudyConfig.model_fields)


@pytest.mark.slow
def test_one_run_moves_from_a_dask_cluster_to_this_machine_and_equals_the_straight_one(tmp_path):
    with DaskProcesses(tmp_path, workers=1) as dask:
        first = jouleshift(tmp_path, *SEARCH, "--trials", 4, "--workers", dask.address)
        assert first.returncode == 0, first.stderr
    lost = jouleshift(tmp_path, *SEARCH, "--trials", 8, "--workers", dask.address)
    assert lost.returncode == 2
    assert "no Dask scheduler answers there" in lost.stderr
    second = jouleshift(tmp_path, *SEARCH, "--trials", 8, "--workers", 1)
    assert second.returncode == 0, second.stderr
    (tmp_path / "straight").mkdir()
    straight = jouleshift(tmp_path / "straight", *SEARCH, "--trials", 8)
    assert straight.returncode == 0, straight.stderr
    assert trials(tmp_path / "run") == trials(tmp_path / "straight" / "run")


@pytest.mark.slow
def test_jobs_are_submitted_and_cancelled_with_the_search(tmp_path):
    """The queueing system is two scripts that run a job at once and end it."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "cluster.yaml").write_text(
        "system: slurm\njobs: 2\ncores: 1\nmemory: 2GB\ninterface: lo\n"
        "scheduler_options: {dashboard: false}\n"
    )
    done = jouleshift(tmp_path, *SEARCH, "--trials", 4, "--workers", "cluster.yaml", path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len(trials(tmp_path / "run")) == 4
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    assert left == []
