"""Where a search begins or goes on: the head of a run directory, and whether a call may continue it.

The head is what does not change while trials come in: config.yaml (the settings), env.json (versions,
machine, data, price list) and priors.json (the configurations to try first). A front compares numbers of one
kind only, so a run goes on with the settings, images and prices it was begun with, or not at all.
"""

import json
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from jouleshift import environment, store
from jouleshift.config import StudyConfig
from jouleshift.errors import BadInput, Bug
from jouleshift.priors import load_priors
from jouleshift.records import TrialRecord, Value
from jouleshift.words import count

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


@contextmanager
def opened(study: StudyConfig, out: Path) -> Iterator[store.Journal]:
    """The run's journal, once it is known to be of this configuration; no trace where nothing began.

    Only the process that writes a run may remove what is left of it: another one may have begun it at the
    same moment.
    """
    store.refuse_foreign(out)
    store.refuse_lost(out)
    existed, is_ours = out.exists(), False
    if (out / store.CONFIG).is_file():
        different = study.differences(store.read_settings(out))
        if different:
            raise BadInput(
                f"{out} was begun with other settings ({'; '.join(different)}); repeat those, "
                "name another --out, or start anew with --fresh"
            )
    try:
        with store.Journal(out) as journal:
            is_ours = True
            yield journal
    except (BadInput, KeyboardInterrupt):
        if is_ours and not existed and not (out / store.CONFIG).exists():
            shutil.rmtree(out, ignore_errors=True)
        raise
    except Exception as error:
        with (out / store.LOG).open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
        raise Bug(out / store.LOG) from error


@contextmanager
def put_back(kept: Path | None, out: Path) -> Iterator[None]:
    """Give an old run that was set aside its name again where no new one begins in its place."""
    try:
        yield
    except BaseException:
        if kept is not None and not out.exists():
            kept.rename(out)
        raise


def write_head(
    study: StudyConfig, out: Path, facts: Mapping[str, Any], priors: Sequence[Mapping[str, Value]]
) -> list[str]:
    """Write config.yaml, env.json and priors.json; return what of machine and versions changed since the run
    began."""
    changed: list[str] = []
    now = {**environment.describe(), **facts, "seed": study.seed, "energy_source": study.energy}
    path = out / store.ENVIRONMENT
    if path.is_file():
        begun = environment.read(path)
        _refuse_other_data(study, out, begun, now)
        refuse_other_prices(study, out, begun, now)
        changed = environment.differences(begun, now)
    else:
        if priors:
            store.write_atomically(out / store.PRIORS, json.dumps(list(priors), indent=1) + "\n")
        store.write_atomically(path, json.dumps(now, indent=2, ensure_ascii=False) + "\n")
    settings = study.model_dump(mode="json")
    store.write_atomically(out / store.CONFIG, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return changed


def priors_of(study: StudyConfig, out: Path, space: "ConfigurationSpace") -> tuple[dict[str, Value], ...]:
    """The configurations that a run tries first: those it was begun with, where it has begun.

    Their file may be the front of another run that went on meanwhile, or be gone; the proposals that are
    recorded followed what it said then.
    """
    kept = out / store.PRIORS
    return load_priors(str(kept) if kept.is_file() else study.prior, space)


def with_all_trials(study: StudyConfig, records: Sequence[TrialRecord]) -> tuple[StudyConfig, list[str]]:
    """The study with no fewer trials than it has already, and the note that says so."""
    if study.trials >= len(records):
        return study, []
    done = sum(record.result is not None for record in records)
    rest = "there is nothing to do" if done == len(records) else "only those begun are finished"
    note = f"{count(done, 'trial')} of this run are done, {study.trials} were asked for: {rest}"
    return study.model_copy(update={"trials": len(records)}), [note]


def notes(torn_bytes: int, changed: Sequence[str]) -> list[str]:
    """What a person should know about the continuation."""
    torn = [f"cut off {count(torn_bytes, 'byte')} of an unfinished journal line"] if torn_bytes else []
    return [*torn, *([f"changed since this run began: {', '.join(changed)}"] if changed else [])]


def _refuse_other_data(
    study: StudyConfig, out: Path, begun: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    for name in ("classes", "images"):
        if name in begun and begun[name] != now[name]:
            raise BadInput(
                f"the {name} of {study.data} changed since {out} was begun ({begun[name]} → "
                f"{now[name]}); name another --out, or start anew with --fresh"
            )


def refuse_other_prices(
    study: StudyConfig, out: Path, begun: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raise `BadInput` where energy is modelled and the price list is not the one the run was begun with.

    Runs of older versions do not tell what theirs was.
    """
    then = begun.get("profile_digest")
    if study.energy == "modelled" and then is not None and now.get("profile_digest") not in (None, then):
        raise BadInput(
            f"the hardware profile {study.profile} changed since {out} was begun: joules of two price lists "
            "share no front; restore it, name another --out, or start anew with --fresh"
        )
