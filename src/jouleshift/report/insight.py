"""The analyses that a page shows, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jouleshift.analysis.ablation import Step, ablation_path, predictor_of
from jouleshift.analysis.attainment import Attainment, ProgressBand, attainment_of, progress_band
from jouleshift.analysis.digest import Digest
from jouleshift.analysis.importance import RunImportance, importance_of
from jouleshift.analysis.pareto import complete, default_trial, reference_point

MOST_PATHS = 24
"""Members of the front that get an ablation path, from the most accurate."""


@dataclass(frozen=True)
class Insight:
    """What is known beyond the trials themselves; None or empty where there are too few."""

    importance: RunImportance | None = None
    paths: Mapping[int, tuple[Step, ...]] = field(default_factory=dict)
    """From a position on the front to the path from the default configuration to there."""
    attainment: Attainment | None = None
    progress: ProgressBand | None = None
    reference: tuple[float, ...] | None = None
    """The corner of the hypervolume, in the order of the objectives."""


def insight(view: Digest, trees: int = 32) -> Insight:
    """All analyses of these runs; seconds for a thousand trials."""
    runs, reference = view.runs, reference_point(view.runs)
    finished = [run for run in runs if complete(run)]
    return Insight(
        importance=importance_of(runs, trees=trees),
        paths=_paths(view, trees),
        attainment=attainment_of(finished) if len(finished) > 1 else None,
        progress=progress_band(finished, reference) if finished and reference else None,
        reference=reference,
    )


def _paths(view: Digest, trees: int) -> dict[int, tuple[Step, ...]]:
    default = next((t for run in view.runs if (t := default_trial(run)) is not None), None)
    predict = predictor_of(view.runs, trees) if default else None
    if default is None or predict is None:
        return {}
    members = list(view.front)[:MOST_PATHS]
    return {
        place: ablation_path(predict, default.trial.config, member.record.trial.config)
        for place, member in enumerate(members)
        if member.role == "front"
    }
