"""What a search says before its first trial."""

import io

from rich.console import Console

from jouleshift.config import StudyConfig
from jouleshift.progress import SearchDisplay
from jouleshift.remarks import remarks

FACTS = {"max_depth": 4, "images": {"skipped": []}}


def test_a_search_as_asked_for_has_no_remarks():
    assert remarks(StudyConfig(data="digits"), FACTS) == []
    assert (
        remarks(StudyConfig(data="digits", space={"weight_bits": [2, 5], "shift_depth": [1, 4]}), FACTS) == []
    )


def test_data_that_nobody_named():
    (line,) = remarks(StudyConfig(), FACTS)
    assert line.startswith("no DATA given, so the bundled digits are searched")


def test_a_default_that_the_space_leaves_out():
    space = {"shift_depth": [0, 2], "optimizer": ["Adam", "RAdam"], "learning_rate": 0.01}
    (line,) = remarks(StudyConfig(data="digits", space=space), FACTS)
    changes = "optimizer SGD → Adam, learning_rate 0.1 → 0.01, shift_depth 4 → 2"
    assert line == f"the space leaves out the default configuration; the default here has {changes}"


def test_images_left_out_are_counted_and_the_first_named():
    for number, said in (
        (1, "1 unreadable image left out: a0"),
        (5, "5 unreadable images left out: a0; a1; a2 …"),
    ):
        facts = FACTS | {"images": {"skipped": [f"a{k}" for k in range(number)]}}
        assert remarks(StudyConfig(data="photos"), facts) == [said]


def test_a_network_that_cannot_be_exported_is_named_with_layer_reason_and_remedy():
    found = "cannot deploy act (Hardswish): its result is no integer; replace it by ReLU"
    (line,) = remarks(StudyConfig(data="digits"), FACTS | {"obstacle": found})
    assert line.startswith("this network can be searched but not exported, because of act (Hardswish): its")
    assert line.endswith("; replace it by ReLU")


def test_operations_without_a_price_are_named_where_energy_is_modelled():
    modelled, deployed = (StudyConfig(data="digits", energy=source) for source in ("modelled", "deployed"))
    facts = FACTS | {"uncounted": ["_fft_r2c", "mkldnn_rnn_layer"]}
    assert remarks(modelled, facts) == [
        "modelled energy leaves out what has no price: _fft_r2c, mkldnn_rnn_layer"
    ]
    assert remarks(deployed, facts) == []


def test_control_characters_of_a_file_name_stay_out_of_notes():
    console = Console(file=io.StringIO(), width=80)
    SearchDisplay(console).note("1 unreadable image left out: a\nb\x1b[31m.png: empty")
    assert console.file.getvalue() == "note: 1 unreadable image left out: a b [31m.png: empty\n"
