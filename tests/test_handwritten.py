"""What people write, YAML and CSV: what is wrong is one line that names file, line and key."""

import pytest

from jouleshift import store
from jouleshift.config import StudyConfig
from jouleshift.energy.hardware import load_profile
from jouleshift.energy.schedule import IntensitySeries
from jouleshift.errors import BadInput
from jouleshift.handwritten import load_rows, parse_yaml
from jouleshift.hpo.jobqueue import read_cluster
from jouleshift.priors import load_priors
from jouleshift.space import build_space
from tests.toys import RUN_SETTINGS


def priors(path):
    return load_priors(str(path), build_space(4))


@pytest.mark.parametrize("read", [StudyConfig.from_file, load_profile, read_cluster, priors])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", r"own\.yaml line 2: not valid YAML: 'seed' stands twice"),
        ("a:\n  - {x: 1, x: 1}\n", r"own\.yaml line 2: not valid YAML: 'x' stands twice"),
        ("a: [1\n", r"own\.yaml line 2: not valid YAML"),
        ("a: 2026-13-01\n", r"own\.yaml: not valid YAML: month"),
        ("a: " + "[" * 500, r"own\.yaml: not valid YAML"),
    ],
    ids=["key", "nested key", "bracket", "date", "deep"],
)
def test_every_reader_of_yaml_refuses_what_is_none(tmp_path, read, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "own.yaml")


def test_a_flags_mapping_is_read_as_strictly():
    with pytest.raises(BadInput, match=r"space line 1: .*'weight_bits' stands twice"):
        StudyConfig(space="{weight_bits: 2, weight_bits: 4}")


def test_merged_keys_may_be_overridden():
    text = "base: &b {x: 1, y: 1}\nouter: {inner: &i {<<: *b, x: 2}}\nlast: {<<: *i, x: 3}\n"
    assert parse_yaml(text, "text")["last"] == {"x": 3, "y": 1}


@pytest.mark.parametrize("read", [IntensitySeries.load, priors])
def test_a_column_that_stands_twice_is_refused(tmp_path, read):
    (tmp_path / "own.csv").write_text("time,g_per_kwh,g_per_kwh\n2026-05-01,3,4\n2026-05-02,3,4\n")
    with pytest.raises(BadInput, match=r"own\.csv line 1: column 'g_per_kwh' stands twice"):
        read(tmp_path / "own.csv")


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "own.csv").write_bytes(b'\xef\xbb\xbftime,note\r\n1,"two\r\nlines"\r\n2\r\n')
    assert load_rows(tmp_path / "own.csv") == [
        {"time": "1", "note": "two\nlines"},
        {"time": "2", "note": None},
    ]


@pytest.mark.parametrize(
    "text", ["region: [1]\n", "trials: many\n", "self: 1\n", 'constraint: "error < 1"\n']
)
def test_a_wrong_setting_names_its_file(tmp_path, text):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(BadInput, match=rf"own\.yaml: .*{text.split(':')[0]}"):
        StudyConfig.from_file(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RUN_SETTINGS + "region: [1]\n", r"config\.yaml: region \[1\]"),
        (RUN_SETTINGS.replace("model: tiny\n", ""), r"config\.yaml: model is missing"),
    ],
)
def test_a_runs_damaged_settings_are_refused(tmp_path, text, message):
    with store.Journal(tmp_path):
        (tmp_path / store.CONFIG).write_text(text)
    with pytest.raises(BadInput, match=message):
        store.read_run(tmp_path)
