"""Each network's energy under other energies, as a table: what the findings under them are counted from.

Errors and the rest of a configuration do not change with the energy; they are in the searches' own
`trials.csv`, where a reading here is found by its study, seed and trial.
"""

from collections.abc import Mapping, Sequence

from jouleshift.records import Evaluation, Run
from jouleshift.report.tables import Row, to_csv

FORMAT = (
    "shift_type", "shift_depth", "weight_bits", "activation_integer_bits", "activation_fraction_bits",
    "rounding",
)  # fmt: skip
"""The hyperparameters that a network's energy depends on."""
COLUMNS = (
    "under", "study", "seed", "trial", *FORMAT, "energy_j", "energy_source", "energy_kind", "energy_origin",
    "energy_flags",
)  # fmt: skip


def readings_csv(study: str, energies: Mapping[str, Sequence[Run]]) -> bytes:
    """A row for each network of a study's runs under each of these energies, by their names."""
    table: list[Row] = [
        {
            "under": name,
            "study": study,
            "seed": record.trial.seed,
            "trial": record.trial.id,
            **{setting: record.trial.config.get(setting) for setting in FORMAT},
            "energy_j": record.result.energy.energy_j,
            "energy_source": record.result.energy.source,
            "energy_kind": record.result.energy.kind,
            "energy_origin": record.result.energy.origin,
            "energy_flags": "; ".join(record.result.energy.flags) or None,
        }
        for name, runs in energies.items()
        for run in runs
        for record in run.trials
        if isinstance(record.result, Evaluation)
    ]
    return to_csv(table, COLUMNS).encode()
