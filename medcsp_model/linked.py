"""Which records of a batch are the same patient's inside the window, looked up in all links of two sources."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus import ragged
from medcsp_model.slots import Ints


def link_rows(num_records: int, s: Ints, t: Ints) -> tuple[Ints, Ints]:
    """Sorted pairs (s, t) as compressed sparse rows over all records of s: (boundaries, records of t)."""
    return np.searchsorted(s, np.arange(num_records + 1)).astype(np.int64), t.astype(np.int64)


def linked_pairs(batch: Mapping[str, Ints], pair: tuple[str, str], links: tuple[Ints, Ints]) -> Ints:
    """Places of the records of a batch that are the same patient's inside the window.

    Args:
        batch: distinct record indices by source.
        pair: the two sources (s, t).
        links: what `link_rows` made of the pair's links.

    Returns:
        int64 (2, k): place in the batch's records of s, ascending, and in those of t.
    """
    s, t = batch[pair[0]], batch[pair[1]]
    indptr, linked = links
    lengths, places = ragged(indptr, s)
    rows, found = np.repeat(np.arange(len(s)), lengths), linked[places]
    order = np.argsort(t, kind="stable")
    column = np.searchsorted(t[order], found)
    hit = column < len(t)
    hit[hit] = t[order][column[hit]] == found[hit]
    return np.stack([rows[hit], order[column[hit]]])


def linked_in_batch(batch: Mapping[str, Ints], pair: tuple[str, str], links: tuple[Ints, Ints]) -> NDArray[np.bool_]:
    """What `linked_pairs` tells, as bool (records of s, records of t)."""
    rows, columns = linked_pairs(batch, pair, links)
    mask = np.zeros((len(batch[pair[0]]), len(batch[pair[1]])), dtype=bool)
    mask[rows, columns] = True
    return mask
