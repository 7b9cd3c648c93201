"""Configurations to try first."""

import json

import pytest
import yaml
from ConfigSpace import Configuration

from jouleshift.errors import BadInput
from jouleshift.hpo import make_scheduler
from jouleshift.priors import load_priors
from jouleshift.space import build_space
from tests.hpo.toy import Driver, energy


def test_the_papers_fronts_fit_any_space():
    space = build_space(4, {"optimizer": ["SGD", "Adam"], "weight_bits": 3})
    priors = load_priors("paper", space)
    assert len(priors) > 10
    for prior in priors:
        assert dict(Configuration(space, values=prior)) == prior
        assert prior["weight_bits"] == 3 and prior["shift_depth"] <= 4


def test_a_front_of_another_run_and_a_list_are_read(tmp_path):
    (tmp_path / "front.csv").write_text("trial,error,weight_bits,shift_type\n3,0.1,4,Q\n5,0.2,4,Q\n")
    (tmp_path / "known.yaml").write_text(yaml.safe_dump([{"weight_bits": 4, "shift_type": "Q"}]))
    space = build_space(4)
    default = dict(space.get_default_configuration())
    for name in ("front.csv", "known.yaml"):
        assert load_priors(str(tmp_path / name), space) == ({**default, "weight_bits": 4, "shift_type": "Q"},)


@pytest.mark.parametrize("text", ["a: 1", "- 3", "trial: [", "- {bits: 4}"])
def test_a_file_that_names_nothing_is_refused(tmp_path, text):
    (tmp_path / "known.yaml").write_text(text)
    with pytest.raises(BadInput, match=r"known\.yaml"):
        load_priors(str(tmp_path / "known.yaml"), build_space(4))
    with pytest.raises(BadInput, match="nowhere"):
        load_priors("nowhere.csv", build_space(4))


def test_priors_come_after_the_default_at_the_lowest_budget_and_once():
    space = build_space(20)
    priors = load_priors("paper", space)
    scheduler = make_scheduler("mo-hyperband", space, priors=priors, known={"energy_j": energy})
    trials = Driver(scheduler).run(len(priors) + 3).trials
    assert [trial.config for trial in trials[1 : len(priors) + 1]] == list(priors)
    assert {trial.budget for trial in trials[1:]} == {1}
    with pytest.raises(BadInput, match="takes no priors"):
        make_scheduler("random", space, priors=priors)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("- {weight_bits: .nan}", "weight_bits", 5),
        ("- {weight_bits: .inf}", "weight_bits", 8),
        ("- {weight_bits: -1" + "0" * 400 + "}", "weight_bits", 2),
        ("- {weight_bits: {b: 2}}", "weight_bits", 5),
        ("- {weight_bits: 2026-01-01}", "weight_bits", 5),
        ("- {learning_rate: many}", "learning_rate", 0.1),
        ("- {optimizer: [SGD, Adam]}", "optimizer", "SGD"),
        ("- {shift_type: {a: 1}}", "shift_type", "PS"),
        ("- {optimizer: .nan}", "optimizer", "SGD"),
    ],
)
def test_what_is_no_value_takes_the_default_and_what_is_too_large_the_nearer_end(
    tmp_path, text, name, expected
):
    (tmp_path / "known.yaml").write_text(text)
    (prior,) = load_priors(str(tmp_path / "known.yaml"), build_space(4))
    assert prior[name] == expected


def test_what_a_run_keeps_of_its_priors_is_read_back_exactly(tmp_path):
    space = build_space(20)
    priors = load_priors("paper", space)
    (tmp_path / "priors.json").write_text(json.dumps(priors))
    assert load_priors(str(tmp_path / "priors.json"), space) == priors
