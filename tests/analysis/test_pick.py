"""Which point of a front a wish names."""

from dataclasses import replace
from pathlib import Path

import pytest

from jouleshift.analysis.pareto import front, knee, points_of
from jouleshift.analysis.pick import pick
from jouleshift.errors import BadInput
from tests.analysis.synthetic import hyperband_run, record


def made(*points):
    run = hyperband_run(3)
    trials = tuple(record(i, error, energy) for i, (error, energy) in enumerate(points, 1))
    return replace(run, trials=trials, config={**run.config, "max_budget": 9})


RUN = made((0.1, 9e-6), (0.2, 4e-6), (0.25, 2e-6), (0.6, 1e-6), (0.7, 8e-6))


@pytest.mark.parametrize(
    ("wish", "trial"),
    [
        ("max-accuracy", 1), ("min-energy", 4), ("knee", 3), ("accuracy>=0.8", 2), ("accuracy >= 75 %", 3),
        ("error<=0.3", 3), ("error <= 20 %", 2), ("energy_j<=4e-6", 2), ("energy <= 4 uJ", 2), ("5", 5),
        ("accuracy>=0.9", 1), ("size <= 50 kB", 1),
    ],
)  # fmt: skip
def test_wishes(wish, trial):
    assert pick(RUN, wish).trial.id == trial


def test_the_knee_is_the_front_s():
    run = hyperband_run(60)
    members = front(run)
    assert pick(run, "knee") is members[knee(points_of(members))]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("kne", "did you mean 'knee'"), ("accuracy>=0.95", "accuracy>=0.95: it spans 0.4 … 0.9"),
        ("99", "trial 99"), ("accuracy==0.5", "pick 'accuracy==0.5': write it like"),
        ("energy <= 2", "pick 'energy <= 2': give a unit"), ("energy<=0.9 uJ", "spans 1e-06 … 9e-06 J"),
        ("latency <= 1 ms", "nothing is known of it"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_refused(wish, message):
    with pytest.raises(BadInput, match=message):
        pick(RUN, wish)


def without_shifts(run, *numbers):
    """The run in which these trials are float32 networks."""
    return replace(
        run,
        trials=tuple(
            replace(r, trial=replace(r.trial, config={**r.trial.config, "shift_depth": 0}))
            if r.trial.id in numbers
            else r
            for r in run.trials
        ),
    )


@pytest.mark.parametrize(
    ("wish", "trial"),
    [("max-accuracy", 2), ("min-energy", 3), ("knee", 2), ("accuracy >= 80 %", 2), ("energy <= 1.5 uJ", None),
     ("1", 1)],
)  # fmt: skip
def test_a_wish_names_what_can_be_shipped(wish, trial):
    run = without_shifts(RUN, 1, 4)
    if trial is None:
        with pytest.raises(BadInput, match="it spans 2e-06 … 4e-06 J"):
            pick(run, wish)
    else:
        assert pick(run, wish).trial.id == trial


@pytest.mark.parametrize("wish", ["knee", "max-accuracy", "accuracy >= 10 %"])
def test_a_front_of_float_networks_has_nothing_to_ship(wish):
    with pytest.raises(BadInput, match="no network on the front has a shift layer to export"):
        pick(without_shifts(RUN, 1, 2, 3, 4, 5), wish)


def test_a_run_without_a_front_has_nothing_to_pick():
    with pytest.raises(BadInput, match="no result at the full budget"):
        pick(replace(RUN, trials=()), "knee")


def test_where_nothing_keeps_the_constraints_a_number_still_names_a_trial():
    run = replace(RUN, config={**RUN.config, "constraint": ["error <= 1 %", "size <= 1 kB"]})
    assert pick(run, "2").trial.id == 2
    told = "made-up: no network keeps error <= 1 % and size <= 1 kB, of 5 trials at the full budget"
    with pytest.raises(BadInput, match=told):
        pick(replace(run, path=Path("made-up")), "knee")


@pytest.mark.parametrize(
    ("layers", "wish", "trial"),
    [({"first": 8}, "min-energy", 4), ({"first": "float"}, "min-energy", 3), ({"*": "float"}, "5", 5)],
)
def test_formats_of_single_layers_say_what_can_be_shipped(layers, wish, trial):
    run = without_shifts(RUN, 1, 4)
    run = replace(run, config={**run.config, "layers": layers})
    assert pick(run, wish).trial.id == trial
    if "*" in layers:
        with pytest.raises(BadInput, match="no network on the front has a shift layer to export"):
            pick(run, "knee")
