from threadpoolctl import threadpool_info

from jouleshift.hpo.mo_hyperband import MoHyperband
from tests.hpo.test_mo_hyperband import search
from tests.hpo.toy import Driver


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_proposals_are_computed_by_one_thread_and_others_are_left_theirs(monkeypatch):
    before, seen = blas_threads(), []
    propose = MoHyperband._propose
    monkeypatch.setattr(MoHyperband, "_propose", lambda self: seen.append(blas_threads()) or propose(self))
    Driver(search()).run(20)
    assert len(seen) >= 19 and all(threads == {1} for threads in seen)
    assert blas_threads() == before
