"""Random numbers by name, so that a subject's draws do not move when another subject or table is added."""

import hashlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return the random generator that belongs to these names.

    Args:
        seed: the settings' seed.
        names: purpose and ids, e.g. ("chartevents", stay_id).
    """
    key = hashlib.sha256(":".join(str(name) for name in (seed, *names)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "little")))


def unique_ids(
    seed: int, name: str, number: int, *, first: int, last: int, taken: set[int] | None = None
) -> np.ndarray:
    """Draw distinct ids in random order.

    Args:
        seed: the settings' seed.
        name: whose ids they are; each name has numbers of its own.
        number: how many.
        first: smallest id allowed.
        last: largest id allowed.
        taken: ids that must not be drawn.

    Returns:
        int64 (number,).
    """
    taken = taken or set()
    random = generator(seed, "ids", name)
    found: dict[int, None] = {}
    while len(found) < number:
        for value in random.integers(first, last + 1, size=2 * number + 16).tolist():
            if value not in taken:
                found[value] = None
    return np.array(list(found)[:number], dtype=np.int64)
