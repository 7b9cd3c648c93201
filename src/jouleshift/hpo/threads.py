"""One thread for the linear algebra of proposals.

A surrogate's matrices have some hundred rows. Spread over threads they gain nothing, and where trainings keep
the cores busy each of a proposal's thousand small products waits for a thread that does not get its turn: 612
instead of 23 ms a proposal on a busy machine of two cores. And a sum's last digits, so in the end what is
proposed, would depend on the number of cores.
"""

from contextlib import AbstractContextManager
from functools import cache

import numpy as np  # noqa: F401 - brings the library whose threads are limited
import scipy.linalg  # noqa: F401 - and its own copy
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Within it, BLAS computes with one thread; afterwards as before."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
