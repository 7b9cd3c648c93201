"""Formats of single layers: what can be said, who decides where several match, and what is refused."""

import re
from dataclasses import replace

import pytest
import yaml

import jouleshift as js
from jouleshift.analysis.digest import differing
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput
from jouleshift.layer_formats import applied, by_layer, formats_of, weight_bits_of, with_bits
from tests.analysis.synthetic import hyperband_run

STATED = {"first": 8, "last": "float", "layer3.*": {"weight_bits": 3, "kind": "Q"}}
NAMES = ["conv1", "layer3.0.conv1", "layer3.0.conv2", "linear"]


def test_flags_yaml_and_python_say_the_same():
    flags = ("first=8", "last=float", "layer3.*={weight_bits: 3, kind: Q}")
    text = "layers: {first: 8, last: float, layer3.*: {weight_bits: 3, kind: Q}}"
    said = [StudyConfig(layers=flags), StudyConfig(**yaml.safe_load(text)), StudyConfig(layers=STATED)]
    assert [study.layers for study in said] == [STATED] * 3


def test_a_study_with_layers_comes_back_from_its_own_file(tmp_path):
    study = StudyConfig(layers=STATED)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
    again = StudyConfig.from_file(path)
    assert again.differences(study) == []
    assert list(again.layers.items()) == list(STATED.items())


def test_other_layers_or_another_order_are_another_run():
    two = {"layer3.0.*": 3, "layer3.*": 4}
    study = StudyConfig(layers=two)
    assert study.differences(StudyConfig()) == [f"layers: {{}} → {two!r}"]
    assert len(study.differences(StudyConfig(layers={**two, "layer3.*": 5}))) == 1
    assert len(study.differences(StudyConfig(layers=dict(reversed(two.items()))))) == 1


def test_reports_see_that_the_order_differs():
    run = hyperband_run(3)
    layers = {"layer3.0.*": 3, "layer3.*": 4}
    one, same, other = (
        replace(run, config={**run.config, "layers": given})
        for given in (layers, dict(layers), dict(reversed(layers.items())))
    )
    assert "layers" not in differing([one, same])
    assert "layers" in differing([one, other])


def test_the_first_entry_that_matches_decides():
    assert by_layer(STATED, NAMES) == {
        "conv1": 8, "linear": "float", "layer3.0.conv1": STATED["layer3.*"],
        "layer3.0.conv2": STATED["layer3.*"],
    }  # fmt: skip
    assert by_layer({"linear": 2, "last": 8, "layer3.0.conv?": 3, "*": 4}, NAMES) == {
        "conv1": 4, "layer3.0.conv1": 3, "layer3.0.conv2": 3, "linear": 2,
    }  # fmt: skip


def test_what_is_not_said_is_as_in_the_other_layers():
    others = js.ShiftConfig(weight_bits=4, act_integer_bits=3, act_fraction_bits=5, depth=2)
    assert applied(8, others) == others.model_copy(update={"weight_bits": 8})
    assert applied({"kind": "Q"}, others) == others.model_copy(update={"kind": "Q"})
    assert applied("float", others) is None
    assert [weight_bits_of(stated, 4) for stated in (None, 8, {"kind": "Q"}, {"weight_bits": 3})] == [
        4,
        8,
        4,
        3,
    ]


def test_a_whole_shift_config_counts_but_for_depth_and_mode():
    given = js.ShiftConfig(kind="Q", weight_bits=3, depth=2)
    (stated,) = formats_of({"first": given}).values()
    assert stated == {
        "kind": "Q", "weight_bits": 3, "act_integer_bits": 16, "act_fraction_bits": 16,
        "rounding": "deterministic",
    }  # fmt: skip


def test_other_bits_where_bits_are_stated():
    assert with_bits({**STATED, "conv1": {"kind": "Q"}}, lambda bits: bits - 1) == {
        "first": 7, "last": "float", "layer3.*": {"weight_bits": 2, "kind": "Q"}, "conv1": {"kind": "Q"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"first": 9}, "layers.first: weight_bits 9: input should be less than or equal to 8"),
        ({"first": 1}, "layers.first: weight_bits 1: input should be greater than or equal to 2"),
        ({"first": True}, "layers.first True: expected a number of weight bits, float, or fields"),
        ({"last": "flaot"}, "layers.last 'flaot': expected a number of weight bits, float"),
        ({"last": None}, "layers.last None: expected"),
        (
            {"a.*": {"weigth_bits": 3}},
            "layers.a.*: unknown setting 'weigth_bits' (did you mean 'weight_bits'?)",
        ),
        ({"a": {"kind": "R"}}, "layers.a: kind 'R': input should be 'Q' or 'PS'"),
        ({"a": {"depth": 3}}, "layers.a: depth is of the whole network"),
        ({"a": {"mode": "reference"}}, "layers.a: mode is of the whole network"),
        ({0: 8}, "layers: 0 is no name of layers; write it in quotes"),
        (["first"], "layers 'first': expected NAME=FORMAT, such as first=8"),
        (["=8"], "layers '=8': expected NAME=FORMAT"),
        (["first=8", "first=float"], "layers: 'first' stands twice"),
        (["first={"], "layers.first line 1: not valid YAML"),
        (8, "layers 8: expected a mapping such as {first: 8, last: float}"),
        ("first=8", "layers 'first=8': expected a mapping"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(layers, words):
    with pytest.raises(BadInput) as error:
        StudyConfig(layers=layers)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "close"),
    [("lst", "last"), ("layer4.*", "layer3.0.conv1"), ("conv", "conv1"), ("linaer", "linear")],
)
def test_a_name_that_matches_nothing_is_refused_with_the_nearest(name, close):
    words = f"layers: {name!r} matches no convertible layer (nearest: {close!r}"
    with pytest.raises(BadInput, match=re.escape(words)):
        by_layer({"first": 8, name: 3}, NAMES)


def test_a_network_without_convertible_layers_has_no_first():
    with pytest.raises(BadInput, match=r"'first' matches no convertible layer$"):
        by_layer({"first": 8}, [])
