"""The networks of a search under another energy: does a finding hold on other hardware, by another source?

Energy follows from a network's structure and number formats, not from its weights. So each network is built
again, not trained again, and its energy taken from another hardware profile, from the float simulation as in
the paper, or from the deployed integers. Errors stay as they were found. What a search *proposed* was guided
by its own energy: the front shown is that of the same trials, and a search under the other energy would go
further there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jouleshift.config import StudyConfig
from jouleshift.energy.carbon import country_code
from jouleshift.energy.hardware import load_profile
from jouleshift.errors import BadInput
from jouleshift.evaluate import Evaluator
from jouleshift.paper.readings import FORMAT
from jouleshift.records import EnergyReading, Evaluation, Run, Value

SOURCES = ("simulated", "deployed")

Known = dict[tuple[Value, ...], EnergyReading | None]
"""Energies by study and number format; None where a network cannot be deployed."""


def under(runs: Sequence[Run], name: str, tell: Callable[[str], None] = lambda _: None) -> list[Run]:
    """The runs with the energies of `name`: a hardware profile, `simulated` or `deployed`.

    Networks that cannot be deployed are left out. A format, which takes seconds to measure, is measured once
    for all seeds of a study, each time announced through `tell`. Raises BadInput for an unknown name.
    """
    settings = settings_of(name)
    known: Known = {}
    return [_repriced(run, settings, tell, known) for run in runs]


def settings_of(name: str) -> dict[str, Any]:
    """The settings of a search that has this energy. Raises BadInput for an unknown name."""
    if name in SOURCES:
        return {"energy": name}
    load_profile(name)
    return {"energy": "modelled", "profile": name}


def _repriced(run: Run, settings: Mapping[str, Any], tell: Callable[[str], None], known: Known) -> Run:
    study = StudyConfig(**{**run.config, **settings, "distil": False, **_country(run, settings)})
    but_seed = study.model_dump_json(exclude={"seed", "out"})
    evaluator = Evaluator(study, Path("nowhere"))
    measured = study.energy in SOURCES

    def price(format_: Mapping[str, Value], place: str) -> EnergyReading | None:
        key = (but_seed, *format_.values())
        if key not in known:
            if measured:
                tell(f"{run.path}, {study.energy}: {place}")
            model = evaluator.converted(dict(format_), study.seed)
            try:
                known[key] = evaluator.judge(model.eval().to(evaluator.device), None)[1]
            except BadInput:
                known[key] = None
        return known[key]

    found = []
    for number, record in enumerate(run.trials, 1):
        if isinstance(record.result, Evaluation):
            format_ = {name: record.trial.config[name] for name in FORMAT}
            energy = price(format_, f"network {number} of {len(run.trials)}")
            if energy is not None:
                found.append(replace(record, result=replace(record.result, energy=energy)))
    config = {**study.model_dump(mode="json"), "region": run.config.get("region", study.region)}
    return replace(run, config=config, trials=tuple(found), verified=())


def _country(run: Run, settings: Mapping[str, Any]) -> dict[str, str]:
    """Simulated energy needs a country, which its joules do not depend on, where the run's place is none."""
    named = country_code(str(run.config.get("region", "")))
    return {"region": "DEU"} if settings["energy"] == "simulated" and named is None else {}
