"""A run in the formats of other tools, each written from the journal's records and readable without this
package.

| format | what reads it |
| --- | --- |
| `parquet` | pandas, polars, DuckDB: the columns of trials.csv with their types |
| `deepcave` | DeepCAVE's DataFrame reader: configspace.csv and trials.csv in a directory of their own |
| `smac3` | SMAC3 and DeepCAVE: scenario.json, configspace.json and runhistory.json |
| `optuna` | optuna and optuna-dashboard: an SQLite file (needs `pip install optuna`) |

A trial ended when the journal says, and began its duration before; times count in seconds from the journal's
first event. Where they are unknown, trials follow one another by their durations. What a run minimised is
what other tools see minimised; Optuna, which knows constraints, is given those too. Failed trials carry no
objective values; where SMAC3 insists on one, they have the infinite crash cost that SMAC3 itself records.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jouleshift.analysis.domains import Domain, domains_of_space
from jouleshift.analysis.pareto import full_budget, goal_of, point
from jouleshift.errors import BadInput, nearest
from jouleshift.objectives import Goal
from jouleshift.records import CarbonIntensity, Run, TrialRecord, Value
from jouleshift.report.export import write_files
from jouleshift.report.optuna_study import write_optuna
from jouleshift.report.tables import TIMES, columns, hyperparameters, rows, status, to_csv

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

_SMAC_STATUS: Mapping[str, int] = {"done": 1, "timeout": 3, "out-of-memory": 4}
_CRASHED = 2
_DEEPCAVE_STATUS: Mapping[str, str] = {"done": "success", "timeout": "timeout", "out-of-memory": "memoryout"}


def write_as(
    form: str, run: Run, space: "ConfigurationSpace", intensity: CarbonIntensity, out: Path | None = None
) -> Path:
    """Write a run in another tool's format and return the file or directory.

    By default it goes into the run directory. Raises BadInput for an unknown format, a place that cannot be
    written, and a format whose library is not installed.
    """
    writers: dict[str, tuple[str, Callable[[Path], None]]] = {
        "parquet": ("trials.parquet", lambda path: _write_parquet(run, intensity, path)),
        "deepcave": ("deepcave", lambda path: _write_deepcave(run, space, path)),
        "smac3": ("smac3", lambda path: _write_smac3(run, space, path)),
        "optuna": ("optuna.db", lambda path: write_optuna(run, space, path)),
    }
    if form not in writers:
        raise BadInput(f"unknown format {form!r}{nearest(form, writers)}")
    name, write = writers[form]
    target = out or run.path / name
    write(target)
    return target


def _write_parquet(run: Run, intensity: CarbonIntensity, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = hyperparameters(run.trials)
    table = rows(run.trials, names, intensity, goal_of([run]))
    whole, real = pa.int64(), pa.float64()
    kinds = dict.fromkeys(("trial", "bracket", "rung", "budget", "seed", "parent"), whole)
    kinds |= dict.fromkeys(("error", "accuracy", "energy_j", "emissions_g", "g_per_kwh", "pue"), real)
    kinds |= dict.fromkeys(("latency_s", *TIMES), real) | {"size_bytes": whole}
    texts = ("status", "energy_source", "energy_kind", "energy_origin", "energy_flags", "region", "breaks")
    kinds |= dict.fromkeys(texts, pa.string())
    kinds |= {name: _arrow_type([line[name] for line in table]) for name in names}
    arrays = {
        name: pa.array([_as_text(line[name], kinds[name] == pa.string()) for line in table], kinds[name])
        for name in columns(names)
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink)
    write_files(path.parent, {path.name: sink.getvalue().to_pybytes()})


def _arrow_type(values: list[Any]) -> Any:
    import pyarrow as pa

    present = [v for v in values if v is not None]
    if all(isinstance(v, int) for v in present):
        return pa.int64()
    return pa.float64() if all(isinstance(v, int | float) for v in present) else pa.string()


def _as_text(value: Any, text: bool) -> Any:
    return str(value) if text and value is not None else value


def _outcome(record: TrialRecord, goal: Goal) -> str:
    """The status of an ended trial; one that lacks an objective has no result for other tools."""
    shown = status(record)
    return "crashed" if shown == "done" and point(record, goal) is None else shown


def _timed(run: Run) -> Iterator[tuple[TrialRecord, float, float]]:
    """The ended trials with a start and an end in seconds, where unknown as if one had followed the other."""
    clock = 0.0
    for record in run.trials:
        if record.result is None:
            continue
        begun, ended = record.started_s, record.ended_s
        if begun is None or ended is None:
            begun, ended = clock, clock + (record.duration_s or 0.0)
        yield record, begun, ended
        clock = ended


def _write_deepcave(run: Run, space: "ConfigurationSpace", path: Path) -> None:
    names = [d.name for d in domains_of_space(space)]
    goal = goal_of([run])
    metrics = [
        f"metric:{name} [0.0; {'1.0' if name == 'error' else '+inf'}] (minimize)" for name in goal.objectives
    ]
    times = ("start_time", "end_time")
    header = ["config_id", *metrics, "budget", "seed", *times, "status", "trial", *names]
    identity = _config_ids(run)
    table: list[dict[str, Any]] = []
    for record, begun, ended in _timed(run):
        costs = point(record, goal) or [None] * len(metrics)
        table.append(
            {
                "config_id": identity[record.trial.id],
                **dict(zip(metrics, costs, strict=True)),
                "budget": record.trial.budget,
                "seed": record.trial.seed,
                "start_time": begun,
                "end_time": ended,
                "status": _DEEPCAVE_STATUS.get(_outcome(record, goal), "crashed"),
                "trial": record.trial.id,
                **{name: record.trial.config.get(name) for name in names},
            }
        )
    lines = [_deepcave_hyperparameter(space, domain) for domain in domains_of_space(space)]
    most = max((len(domain.levels) for domain in domains_of_space(space) if domain.is_named), default=0)
    fields = [
        "name",
        "type",
        "lower",
        "upper",
        "default",
        "log",
        "ordered",
        *(f"item_{i}" for i in range(most)),
    ]
    write_files(
        path,
        {"configspace.csv": to_csv(lines, fields).encode(), "trials.csv": to_csv(table, header).encode()},
    )


def _deepcave_hyperparameter(space: "ConfigurationSpace", domain: Domain) -> dict[str, Any]:
    """A row of configspace.csv. Defaults of whole numbers stay empty: the reader would take them for text."""
    default = space[domain.name].default_value
    if domain.is_named:
        items = {f"item_{i}": level for i, level in enumerate(domain.levels)}
        return {"name": domain.name, "type": "categorical", "default": default, "ordered": False, **items}
    hyperparameter: Any = space[domain.name]
    whole = isinstance(default, int) and not isinstance(hyperparameter.lower, float)
    return {
        "name": domain.name,
        "type": "integer" if whole else "float",
        "lower": hyperparameter.lower,
        "upper": hyperparameter.upper,
        "default": None if whole else default,
        "log": bool(hyperparameter.log),
    }


def _config_ids(run: Run) -> dict[int, int]:
    """From a trial to the number of its configuration, counted from 1 in the order of proposal."""
    known: dict[tuple[tuple[str, Value], ...], int] = {}
    return {
        r.trial.id: known.setdefault(tuple(sorted(r.trial.config.items())), len(known) + 1)
        for r in run.trials
    }


def _write_smac3(run: Run, space: "ConfigurationSpace", path: Path) -> None:
    identity, goal = _config_ids(run), goal_of([run])
    infinite = [float("inf")] * len(goal.objectives)
    data = [
        {
            "config_id": identity[record.trial.id],
            "instance": None,
            "seed": record.trial.seed,
            "budget": float(record.trial.budget),
            "cost": list(point(record, goal) or infinite),
            "time": ended - begun,
            "cpu_time": 0.0,
            "status": _SMAC_STATUS.get(_outcome(record, goal), _CRASHED),
            "starttime": begun,
            "endtime": ended,
            "additional_info": {"trial": record.trial.id, "status": status(record)},
        }
        for record, begun, ended in _timed(run)
    ]
    configs = {identity[r.trial.id]: dict(r.trial.config) for r in run.trials}
    done = len(data)
    history = {
        "stats": {"submitted": done, "finished": done, "running": 0},
        "data": data,
        "configs": configs,
        "config_origins": dict.fromkeys(configs),
    }
    scenario: dict[str, Any] = {
        "name": run.path.name,
        "objectives": list(goal.objectives),
        "deterministic": True,
        "crash_cost": infinite,
        "n_trials": int(run.config.get("trials", len(run.trials))),
        "min_budget": run.config.get("min_budget"),
        "max_budget": full_budget(run),
        "seed": int(run.config.get("seed", 0)),
        "output_directory": str(path),
        "_meta": {},
    }
    files = {
        "runhistory.json": history,
        "scenario.json": scenario,
        "configspace.json": space.to_serialized_dict(),
    }
    write_files(path, {name: json.dumps(content, indent=2).encode() for name, content in files.items()})
