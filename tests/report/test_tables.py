import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console

from jouleshift.analysis.digest import digest
from jouleshift.records import CarbonIntensity, Failure, TrialRecord
from jouleshift.report.tables import columns, front_table, hyperparameters, row, rows, to_csv
from tests.analysis.synthetic import DEFAULT, evaluation, hyperband_run, record, run_of

WORLD = CarbonIntensity(450.0, "world", 2023, "made up")


def parse(text):
    return list(csv.DictReader(io.StringIO(text)))


def csv_of(run):
    names = hyperparameters(run.trials)
    return to_csv(rows(run.trials, names, WORLD), columns(names))


def test_columns_are_those_that_scripts_rely_on():
    text = csv_of(run_of(record(1, 0.25, 3.6e-3)))
    assert text.splitlines()[0] == (
        "trial,bracket,rung,budget,seed,parent,status,error,accuracy,energy_j,energy_source,"
        "energy_kind,energy_origin,energy_flags,emissions_g,region,g_per_kwh,pue,size_bytes,latency_s,breaks,"
        + ",".join(DEFAULT)
        + ",train_s,energy_s,duration_s,started_s,ended_s"
    )


def test_a_result_as_a_row():
    line = row(record(1, 0.25, 3.6e-3), ("weight_bits",), WORLD)
    assert line["error"] == 0.25
    assert line["accuracy"] == 0.75
    assert line["emissions_g"] == pytest.approx(4.5e-7)  # 1e-9 kWh at 450 g/kWh
    assert (line["region"], line["g_per_kwh"], line["pue"]) == (WORLD.region, 450.0, 1.0)
    assert line["status"] == "done"
    assert line["weight_bits"] == 5


def test_a_row_tells_its_parent_and_when_it_ran():
    continued = replace(record(7, 0.25, 3.6e-3, parent=2), ended_s=9.125)
    line = row(continued, (), WORLD)
    assert (line["parent"], line["started_s"], line["ended_s"]) == (2, 4.125, 9.125)
    (first,) = parse(csv_of(run_of(record(1, 0.25, 3.6e-3))))
    assert first["parent"] == first["started_s"] == first["ended_s"] == ""


def test_numbers_read_back_to_the_same_value():
    run = hyperband_run(40)
    for line, made in zip(parse(csv_of(run)), run.trials, strict=True):
        if line["status"] == "done":
            assert float(line["error"]) == made.result.error
            assert float(line["energy_j"]) == made.result.energy.energy_j
        assert float(line["learning_rate"]) == made.trial.config["learning_rate"]


def test_what_is_missing_is_empty_and_never_zero():
    bare = record(3)
    bare.trial.config.pop("momentum")  # a hyperparameter that does not apply here
    run = run_of(
        record(1, failure=Failure("out-of-memory", "7 GB")),
        TrialRecord(record(2).trial, evaluation(0.5, None)),
        bare,
    )
    failed, unmeasured, running = parse(csv_of(run))
    assert failed["status"] == "out-of-memory"
    assert {
        failed[c]
        for c in (
            "error",
            "accuracy",
            "energy_j",
            "energy_source",
            "energy_kind",
            "energy_origin",
            "energy_flags",
            "emissions_g",
            "train_s",
        )
    } == {""}
    assert unmeasured["error"] == "0.5"
    assert {unmeasured["energy_j"], unmeasured["emissions_g"]} == {""}
    assert running["status"] == "running"
    assert running["duration_s"] == running["momentum"] == ""


def test_an_energy_says_in_its_row_how_it_is_known():
    watts = {"source": "deployed", "kind": "estimated", "origin": "time × 50 W assumed"}
    guessed = evaluation(0.5, 1e-3, flags=("no-sensor", "default-power"), **watts)
    known, clean = parse(csv_of(run_of(TrialRecord(record(1).trial, guessed), record(2, 0.5, 1e-9))))
    told = [known[f"energy_{what}"] for what in ("source", "kind", "origin", "flags")]
    assert told == [*watts.values(), "no-sensor; default-power"]
    assert (clean["energy_kind"], clean["energy_flags"]) == ("modelled", "")


def test_hostile_strings_stay_in_their_cell():
    nasty = 'a,"b"\n=1+1'
    line = parse(csv_of(run_of(record(1, 0.5, 1.0, config={"optimizer": nasty}))))[0]
    assert line["optimizer"] == nasty


def test_equal_trials_give_equal_bytes_apart_from_times():
    def stripped(text):
        return [{k: v for k, v in line.items() if not k.endswith("_s")} for line in parse(text)]

    first, second = hyperband_run(30), hyperband_run(30)
    slower = run_of(*(TrialRecord(r.trial, r.result, 99.0) for r in second.trials))
    assert csv_of(first) == csv_of(second)
    assert stripped(csv_of(first)) == stripped(csv_of(slower))


def printed(run, width=80):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(front_table(digest([run]), WORLD, width))
    return console.export_text()


def test_terminal_table_marks_who_dominates():
    text = printed(run_of(record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-9), record(3, 0.2, 5e-9)))
    lines = {line.split()[-6 if "★" in line else 0]: line for line in text.splitlines() if "%" in line}
    assert any(
        "★" in line and "70.0 %" in line and "3.00" in line and "25 %" in line for line in lines.values()
    )
    assert "default" in text
    assert "1 of 2 on the front dominate the default" in text


def test_terminal_table_says_where_joules_and_grams_come_from():
    text = " ".join(printed(run_of(record(1, 0.4, 4e-9, bracket=-1))).split())
    assert "modelled energy, computed, not measured: profile asic-45nm" in text
    assert text.endswith("emissions at 450 g CO₂eq/kWh (world, 2023).")


def test_terminal_table_names_what_energies_leave_out():
    flagged = TrialRecord(record(1).trial, evaluation(0.1, 4e-9, flags=("uncounted-operations",)))
    run = run_of(flagged, record(2, 0.3, 5e-9))
    run = replace(run, env={**run.env, "uncounted": ["_fft_r2c", "mkldnn_rnn_layer"]})
    told = "uncounted-operations: energies leave out what has no price, _fft_r2c, mkldnn_rnn_layer."
    assert told in " ".join(printed(run, 120).split())
    assert "uncounted" not in printed(run_of(record(1, 0.1, 4e-9)), 120)


@pytest.mark.parametrize("depths", [(0, 5), (0, 0)])
def test_terminal_table_calls_a_network_without_shift_layers_float(depths):
    first, second = ({"shift_depth": depth} for depth in depths)
    text = printed(run_of(record(1, 0.1, 4e-9, config=first), record(2, 0.3, 3e-9, config=second)))
    assert sum("float  " in line for line in text.splitlines()) == depths.count(0)
    assert "float: a float32 network, without a shift layer; it cannot be exported" in " ".join(text.split())


def test_terminal_table_says_so_if_nothing_dominates():
    text = printed(run_of(record(1, 0.1, 4e-9, bracket=-1), record(2, 0.3, 3e-9)))
    assert "The one other on the front does not dominate the default configuration." in text
    assert "★" not in text
    text = printed(run_of(record(1, 0.2, 4e-9, bracket=-1), record(2, 0.3, 3e-9), record(3, 0.1, 5e-9)))
    assert "None of the 2 others on the front dominates the default configuration." in text


def test_terminal_table_says_so_if_the_default_is_the_front():
    text = printed(run_of(record(1, 0.1, 3e-9, bracket=-1), record(2, 0.3, 4e-9)))
    assert "The default configuration alone is on the front: nothing dominates it." in text


def test_terminal_table_fits_its_width_and_cuts_no_word():
    for width in (80, 100, 140):
        text = printed(hyperband_run(120), width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text


def test_terminal_table_of_an_empty_run():
    assert "no result to compare with" in printed(run_of())
