"""Search strategies behind one interface, and the study that runs them."""

from jouleshift.hpo.registry import make_scheduler, scheduler_class, scheduler_names

__all__ = ["make_scheduler", "scheduler_class", "scheduler_names"]
