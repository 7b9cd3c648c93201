"""An integer program as portable C99: shifts and additions, fixed buffers, packed weights."""

from jouleshift.deploy.c.writer import Written, write_c

__all__ = ["Written", "write_c"]
