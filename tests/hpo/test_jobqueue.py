"""Clusters described by a file: what is accepted, what is refused, what is submitted."""

import pytest

from jouleshift.errors import BadInput
from jouleshift.hpo.jobqueue import SYSTEMS, read_cluster, submitted

SLURM = """\
system: slurm
jobs: 4
cores: 8
memory: 32GB
walltime: "04:00:00"
queue: gpu
job_extra_directives: ["--gres=gpu:1"]
"""
SUBMITTED_BY = {
    "slurm": "#SBATCH -t 04:00:00",
    "pbs": "#PBS -l walltime=04:00:00",
    "lsf": "#BSUB -W 04:00:00",
    "sge": "#$ -l h_rt=04:00:00",
    "oar": "walltime=04:00:00",
    "moab": "#PBS -l walltime=04:00:00",
    "htcondor": "RequestCpus = MY.DaskWorkerCores",
}


def write(folder, text):
    path = folder / "cluster.yaml"
    path.write_text(text)
    return path


def test_a_file_names_class_jobs_and_options(tmp_path):
    kind, jobs, options = read_cluster(write(tmp_path, SLURM))
    assert (kind, jobs) == (SYSTEMS["slurm"], 4)
    assert options["job_extra_directives"] == ["--gres=gpu:1"]


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name != "local"])
def test_every_system_gets_its_own_job_script(tmp_path, system):
    text = f"system: {system}\ncores: 8\nmemory: 32GB\n"
    text += "disk: 1GB\n" if system == "htcondor" else 'walltime: "04:00:00"\n'
    kind, _, options = read_cluster(write(tmp_path, text))
    script = kind.job_cls("tcp://head:8786", name="one", **options).job_script()
    assert SUBMITTED_BY[system] in script
    assert "tcp://head:8786" in script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SLURM.replace("slurm", "slrum"), "system 'slrum' (did you mean 'slurm'?)"),
        (SLURM.replace("queue", "qeue"), "unknown setting 'qeue' (did you mean 'queue'?)"),
        (SLURM.replace("jobs: 4", "jobs: many"), "jobs 'many': expected a whole number"),
        ("- slurm\n", "expected a mapping"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as refusal:
        read_cluster(path)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(str(path))


def test_a_machine_without_the_queueing_system_is_told_where_to_go(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(BadInput, match="no sbatch on this machine"),
        submitted(write(tmp_path, SLURM), tmp_path),
    ):
        pass


def test_missing_cores_are_one_line(tmp_path):
    path = write(tmp_path, "system: local\n")
    with pytest.raises(BadInput, match="cores and memory"), submitted(path, tmp_path):
        pass
