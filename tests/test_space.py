"""Table 1 as a configuration space, and what a user may narrow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jouleshift
from jouleshift.errors import BadInput
from jouleshift.hpo.scheduler import plain
from jouleshift.space import TABLE_1, Choice, Range, build_space

PAPER_DEFAULT = {
    "batch_size": 128,
    "optimizer": "SGD",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "weight_bits": 5,
    "activation_integer_bits": 16,
    "activation_fraction_bits": 16,
    "shift_depth": 20,
    "shift_type": "PS",
    "rounding": "deterministic",
}


def test_the_default_is_the_papers():
    config = plain(build_space(20).get_default_configuration())
    assert config == PAPER_DEFAULT
    assert {name: type(value) for name, value in config.items()} == {
        name: type(value) for name, value in PAPER_DEFAULT.items()
    }


def test_the_depth_is_the_networks():
    space = build_space(53)
    assert (space["shift_depth"].lower, space["shift_depth"].upper) == (0, 53)
    assert space["shift_depth"].default_value == 53
    assert build_space(0).get_default_configuration()["shift_depth"] == 0


def test_rates_are_searched_on_a_log_scale():
    space = build_space(20)
    assert space["learning_rate"].log and space["weight_decay"].log and not space["momentum"].log


def test_narrowing_and_fixing():
    space = build_space(20, {"weight_bits": [2, 4], "optimizer": "RAdam", "shift_type": ["Q"]})
    assert (space["weight_bits"].lower, space["weight_bits"].upper) == (2, 4)
    default = plain(space.get_default_configuration())
    assert default["weight_bits"] == 4, "the nearest legal value to 5"
    assert default["optimizer"] == "RAdam" and default["shift_type"] == "Q"
    for config in space.sample_configuration(50):
        assert 2 <= config["weight_bits"] <= 4
        assert (config["optimizer"], config["shift_type"]) == ("RAdam", "Q")
        assert len(config) == 11


def test_numbers_may_come_as_yaml_text():
    default = plain(
        build_space(20, {"weight_decay": "1e-5", "learning_rate": ["1e-3", 0.01]}).get_default_configuration()
    )
    assert default["weight_decay"] == 1e-5
    assert default["learning_rate"] == 0.01


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"weight_bit": 4}, ["weight_bit'", "did you mean 'weight_bits'"]),
        ({"optimizer": "sgd"}, ["optimizer", "'sgd'", "did you mean 'SGD'"]),
        ({"optimizer": ["Adam", "Lion"]}, ["optimizer", "'Lion'"]),
        ({"optimizer": []}, ["optimizer", "empty"]),
        ({"weight_bits": 9}, ["weight_bits", "9", "2 … 8"]),
        ({"weight_bits": [2, 9]}, ["weight_bits", "9", "2 … 8"]),
        ({"weight_bits": [4, 2]}, ["weight_bits", "low end"]),
        ({"weight_bits": [2, 3, 4]}, ["weight_bits", "range [low, high]"]),
        ({"weight_bits": 2.5}, ["weight_bits", "2.5", "whole number"]),
        ({"weight_bits": True}, ["weight_bits", "whole number"]),
        ({"weight_bits": "many"}, ["weight_bits", "'many'", "whole number"]),
        ({"weight_bits": {"low": 2}}, ["weight_bits", "whole number"]),
        ({"weight_bits": None}, ["weight_bits", "whole number"]),
        ({"momentum": float("nan")}, ["momentum", "nan"]),
        ({"weight_bits": float("inf")}, ["weight_bits", "inf", "whole number"]),
        ({"weight_bits": [2, float("inf")]}, ["weight_bits", "inf", "whole number"]),
        ({"weight_bits": 10**400}, ["weight_bits", "2 … 8"]),
        ({"learning_rate": 10**400}, ["learning_rate", "expected a number"]),
        ({"learning_rate": 1}, ["learning_rate", "1", "0.001 … 0.2"]),
        ({"shift_depth": 21}, ["shift_depth", "21", "0 … 20"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(overrides, words):
    with pytest.raises(BadInput) as caught:
        build_space(20, overrides)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 200
    for word in words:
        assert word in message


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_a_narrowed_space_is_a_subset_with_a_legal_default(data):
    overrides = {}
    for name, entry in TABLE_1.items():
        if not data.draw(st.booleans()):
            continue
        if isinstance(entry, Choice):
            overrides[name] = data.draw(st.lists(st.sampled_from(entry.values), min_size=1, unique=True))
        else:
            number = st.integers if isinstance(entry.low, int) else st.floats
            overrides[name] = sorted(data.draw(number(entry.low, entry.high)) for _ in range(2))
    space = build_space(20, overrides)
    for config in [space.get_default_configuration(), *space.sample_configuration(2)]:
        for name, value in plain(config).items():
            entry, wanted = TABLE_1[name], overrides.get(name)
            if isinstance(entry, Range):
                low, high = wanted or (entry.low, entry.high)
                slack = 1e-9 * abs(high) + 1e-12  # ConfigSpace rounds floats: so many digits, so many places
                assert low - slack <= value <= high + slack
            else:
                assert value in (wanted or entry.values)
        assert json.loads(json.dumps(plain(config))) == plain(config)


def test_importing_it_is_light():
    heavy = "{'torch', 'ConfigSpace', 'smac', 'numpy'}"
    code = f"import sys, jouleshift.space; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(jouleshift.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"
