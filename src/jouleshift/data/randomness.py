"""One seed, many independent streams.

Everything random in a trial (split, order, augmentation, rounding) follows from one seed. Each use draws from
a stream of its own, named by words and numbers, so that adding a use never shifts the numbers of another and
any epoch can be replayed without the epochs before it.

    derived_seed(7, "order", 3)        the seed of epoch 3's order of images in a run of seed 7
"""

import hashlib


def derived_seed(seed: int, *stream: str | int) -> int:
    """A seed in 0 … 2^63 − 1 for the stream of that name, the same on every machine and Python version."""
    name = "/".join(str(part) for part in (seed, *stream))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 1
