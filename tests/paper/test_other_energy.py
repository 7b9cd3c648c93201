"""The same networks under another energy: priced as a search would have priced them."""

import csv
import io
from dataclasses import replace

import pytest

from jouleshift.analysis.pareto import complete
from jouleshift.energy.codecarbon import country_of
from jouleshift.errors import BadInput
from jouleshift.evaluate import Evaluator
from jouleshift.paper.experiments import chosen
from jouleshift.paper.forms import show
from jouleshift.paper.other_energy import settings_of, under
from jouleshift.records import Evaluation, Run
from tests.analysis.synthetic import hyperband_run
from tests.paper.test_reproduce import WORLD, in_table_1s_names

CONFIG = {"data": "digits", "model": "tiny", "limit_train": 40, "limit_val": 20, "energy": "modelled",
          "max_budget": 9, "device": "cpu"}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    """Made-up trials of the smallest network on digits, whose shift depth is at most 4."""
    made = hyperband_run(40)
    records = []
    for record in map(in_table_1s_names, made.trials):
        config = {**record.trial.config, "shift_depth": record.trial.config["shift_depth"] % 4}
        records.append(replace(record, trial=replace(record.trial, config=config)))
    return replace(made, config={**made.config, **CONFIG}, trials=tuple(records))


def joules(run: Run) -> list[float]:
    return [r.result.energy.energy_j for r in run.trials if isinstance(r.result, Evaluation)]


def test_a_profile_gives_the_joules_that_a_search_under_it_knows(run, tmp_path):
    from jouleshift.energy.foreknown import ForeknownEnergy, restore
    from jouleshift.energy.hardware import load_profile

    (other,) = under([run], "fpga-zc706")
    evaluator = Evaluator(replace_study(other), tmp_path)
    known = ForeknownEnergy(
        restore(evaluator.foreknown["workload"]), evaluator.foreknown["depths"], load_profile("fpga-zc706")
    )
    assert joules(other) == [known(r.trial.config) for r in other.trials]
    assert [r.result.error for r in other.trials] == [
        r.result.error for r in run.trials if isinstance(r.result, Evaluation)
    ]
    assert other.config["profile"] == "fpga-zc706"


def test_layers_with_formats_of_their_own_keep_them(run, tmp_path):
    from jouleshift.energy.foreknown import ForeknownEnergy, restore
    from jouleshift.energy.hardware import load_profile

    mixed = replace(run, config={**run.config, "layers": {"first": 8, "last": "float"}})
    (other,) = under([mixed], "fpga-zc706")
    known = Evaluator(replace_study(other), tmp_path).foreknown
    profile = load_profile("fpga-zc706")
    energy = ForeknownEnergy(restore(known["workload"]), known["depths"], profile, known["layers"])
    assert joules(other) == [energy(r.trial.config) for r in other.trials]
    assert joules(other) != joules(under([run], "fpga-zc706")[0])


def replace_study(run: Run):
    from jouleshift.config import StudyConfig

    return StudyConfig(**run.config)


def test_each_measurement_is_announced(run, monkeypatch):
    assert run.trials[1] not in complete(run), "all networks are measured, so that importance has all"
    reading = run.trials[0].result.energy
    countries = []
    monkeypatch.setattr(
        Evaluator, "judge", lambda self, *_: countries.append(self.study.region) or (0.0, reading)
    )
    told = []
    worldwide = replace(run, trials=run.trials[:2], config={**run.config, "region": "world"})
    (other,) = under([worldwide], "simulated", told.append)
    assert {country_of(name) for name in countries} == {"DEU"}
    assert other.config["region"] == "world"
    assert told == [f"{run.path}, simulated: network {k} of 2" for k in (1, 2)]
    under([run], "fpga-zc706", told.append)
    assert len(told) == 2


def test_a_format_is_measured_once_for_all_seeds_of_a_study(run, monkeypatch):
    full = tuple(complete(run)[:2])
    reading = full[0].result.energy
    measured = []
    monkeypatch.setattr(
        Evaluator, "judge", lambda self, *_: measured.append(self.study.image_size) or (0.0, reading)
    )
    seeds = [replace(run, trials=full, config={**run.config, "seed": seed}) for seed in (0, 1)]
    larger = replace(run, trials=full, config={**run.config, "image_size": 16})
    others = under([*seeds, larger], "deployed")
    assert measured == [None, None, 16, 16]
    assert [len(other.trials) for other in others] == [2, 2, 2]


def test_findings_get_a_column_for_each_energy(run):
    names = ("asic-45nm", "cortex-m0")
    others = {name: {"resnet20-cifar10": under([run], name)} for name in names}
    (experiment,) = chosen("table-2")
    shown = show(experiment, {"resnet20-cifar10": [run]}, WORLD, others)
    rows = list(csv.DictReader(io.StringIO(shown.files["energies.csv"].decode())))
    assert list(rows[0]) == ["finding", "published", "ours", *names]
    assert rows[-2]["finding"] == "most important for the error"
    assert rows[-2]["published"] == "shift depth (Figure 2)"
    assert "%" in rows[-1]["cortex-m0"]


def test_each_reading_behind_the_findings_is_written(run):
    names = ("asic-45nm", "cortex-m0")
    others = {name: {"resnet20-cifar10": under([run], name)} for name in names}
    (experiment,) = chosen("table-2")
    shown = show(experiment, {"resnet20-cifar10": [run]}, WORLD, others)
    rows = list(csv.DictReader(io.StringIO(shown.files["readings.csv"].decode())))
    assert [row["under"] for row in rows] == [n for n in names for _ in joules(run)]
    for name in names:
        (other,) = others[name]["resnet20-cifar10"]
        mine = [row for row in rows if row["under"] == name]
        assert [float(row["energy_j"]) for row in mine] == joules(other)
        for row, record in zip(mine, other.trials, strict=True):
            assert (row["study"], int(row["seed"])) == ("resnet20-cifar10", record.trial.seed)
            assert int(row["trial"]) == record.trial.id
            for setting in ("shift_depth", "weight_bits", "activation_fraction_bits", "shift_type"):
                assert row[setting] == str(record.trial.config[setting])
            assert (row["energy_source"], row["energy_kind"]) == ("modelled", "modelled")
            assert name in row["energy_origin"]
    assert "readings.csv" not in show(experiment, {"resnet20-cifar10": [run]}, WORLD).files


@pytest.mark.parametrize(("figure", "row"), [("figure-2", -2), ("figure-3", -1)])
def test_what_is_most_important_is_that_of_the_figure(run, figure, row):
    (table,), (figured,) = chosen("table-2"), chosen(figure)
    runs = {"resnet20-cifar10": [run]}
    under_others = show(table, runs, WORLD, {"itself": runs}).files["energies.csv"].decode()
    told = list(csv.DictReader(io.StringIO(under_others)))[row]
    shares = list(csv.DictReader(io.StringIO(show(figured, runs, WORLD).files["csv"].decode())))
    first = [(s["hyperparameter"].replace("activation", "act").replace("_", " "), float(s["share"]))
             for s in shares[:2]]  # fmt: skip
    assert told["ours"] == told["itself"] == ", ".join(f"{name} {100 * share:.0f} %" for name, share in first)


def test_an_unknown_energy_is_refused_before_anything_is_searched():
    with pytest.raises(BadInput, match="fpga-zc706"):
        settings_of("fpga")
    assert settings_of("simulated") == {"energy": "simulated"}
