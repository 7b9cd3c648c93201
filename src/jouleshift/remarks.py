"""What a person should know of a search before its first trial, a line each: what nobody asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from jouleshift.config import StudyConfig
from jouleshift.space import moved_defaults
from jouleshift.words import count

_NAMED = 3
"""So many unreadable images are named."""


def remarks(study: StudyConfig, facts: Mapping[str, Any]) -> list[str]:
    """What is remarkable of a study, and of what its workers found (`Evaluator.facts`)."""
    said = []
    if "data" not in study.model_fields_set:
        said.append("no DATA given, so the bundled digits are searched; for your images: search FOLDER")
    said += unreadable(facts["images"]["skipped"])
    if facts.get("obstacle"):
        obstacle = facts["obstacle"].removeprefix("cannot deploy ")
        said.append(f"this network can be searched but not exported, because of {obstacle}")
    if facts.get("uncounted") and study.energy == "modelled":
        said.append(f"modelled energy leaves out what has no price: {', '.join(facts['uncounted'])}")
    moved = moved_defaults(study.space, facts["max_depth"])
    if moved:
        changes = ", ".join(f"{name} {usual} → {own}" for name, (usual, own) in moved.items())
        said.append(f"the space leaves out the default configuration; the default here has {changes}")
    return said


def unreadable(skipped: Sequence[str]) -> list[str]:
    """How many images were left out, and the first few with the reason; nothing where all could be read."""
    if not skipped:
        return []
    number = count(len(skipped), "unreadable image")
    more = " …" if len(skipped) > _NAMED else ""
    return [f"{number} left out: {'; '.join(skipped[:_NAMED])}{more}"]
