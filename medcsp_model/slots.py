"""Places of batches as arrays: slots hold record indices, batches are cut from them at `starts`.

A slot is empty where it holds `NONE`. Records are spread over slots, filled in, and change places. What does not live
here: which records are drawn (`medcsp_model.batches`).
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NONE = -1
REACH = 32
"""Batches on either side in which to look for a place to exchange."""


def grain(share: NDArray[np.float64]) -> Ints:
    """Numbers in [0, 1) as whole numbers below 2^32."""
    return (share * 2.0**32).astype(np.int64)


def argsort(key: Ints) -> Ints:
    """Stable argsort of whole numbers from 0 up, 16 bits at a time: numpy counts those instead of comparing them."""
    order = np.argsort(key.astype(np.uint16), kind="stable")
    for shift in range(16, int(key.max(initial=0)).bit_length(), 16):
        order = order[np.argsort((key[order] >> shift).astype(np.uint16), kind="stable")]
    return order


def occurrence(values: Ints) -> Ints:
    """How often each value (whole numbers from 0 up) stood before, int64 of the same length."""
    order = argsort(values)
    held = values[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = held[1:] != held[:-1]
    place = np.arange(len(order))
    result = np.empty(len(order), dtype=np.int64)
    result[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    return result


def mark(values: Ints, some: Ints) -> NDArray[np.bool_]:
    """Which ascending values are among a few others."""
    marks = np.zeros(len(values), dtype=bool)
    marks[np.searchsorted(values, some[some != NONE])] = True
    return marks


def spread(stratum: Ints, subject: Ints, rng: np.random.Generator) -> Ints:
    """An order in which every stretch holds each stratum in its share and the records of a subject lie apart."""
    group = (subject << int(stratum.max(initial=0)).bit_length()) | stratum
    sizes = np.bincount(group)
    apart = (occurrence(group) + rng.random(len(sizes))[group]) / sizes[group]
    order = argsort((stratum << 32) | grain(apart))
    kind, counts = stratum[order], np.bincount(stratum)
    rank = np.arange(len(order)) - (np.cumsum(counts) - counts)[kind]
    return order[argsort(grain((rank + rng.random(len(counts))[kind]) / counts[kind]))]


def keep_apart(clash: NDArray[np.bool_], stratum: Ints, subject: Ints, starts: Ints, quota: int) -> Ints:
    """An order in which clashing places have left the first batch, in exchange with others of their stratum.

    Where the linked anchors of a batch are of fewer subjects than the quota, those of one subject part too.
    """
    batch, order, subject = batch_of(starts), np.arange(len(clash)), subject.copy()
    linked = np.flatnonzero(stratum)
    new = occurrence(batch[linked] * (int(subject.max(initial=0)) + 1) + subject[linked]) == 0
    short = np.bincount(batch[linked[new]], minlength=len(starts)) < quota
    parting = clash & (batch == 0)
    parting[linked[~new & short[batch[linked]]]] = True
    for place in np.flatnonzero(parting)[: 4 * len(starts)]:
        here = batch[place]
        near = slice(starts[max(here - REACH, 0)], starts[min(here + REACH, len(starts) - 2) + 1])
        wrong = clash[near] if here == 0 else clash[place] & (batch[near] == 0)
        alike = (stratum[near] == stratum[place]) & (batch[near] != here) & ~parting[near] & ~wrong
        alike = near.start + np.flatnonzero(alike)
        fresh = alike[~np.isin(subject[alike], subject[starts[here] : starts[here + 1]])]
        fits = (at for at in fresh if not (subject[starts[batch[at]] : starts[batch[at] + 1]] == subject[place]).any())
        target = next(fits, alike[0] if here == 0 and clash[place] and len(alike) else None)
        if target is not None:
            order[place], order[target] = order[target], order[place]
            subject[place], subject[target] = subject[target], subject[place]
            clash[place], clash[target] = clash[target], clash[place]
    return order


def level(draws: Ints, places: int, *, limit: int, rotation: Ints) -> Ints:
    """How often to draw each record more, so that totals are level and at most `limit`; ties go by `rotation`."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.maximum(middle - draws, 0).sum() <= places else (low, middle - 1)
    more = np.maximum(low - draws, 0)
    rest = places - int(more.sum())
    open_records = np.flatnonzero((draws + more == low) & (low < limit))
    more[open_records[argsort(rotation[open_records])[:rest]]] += 1
    return more


def batch_of(starts: Ints) -> Ints:
    """Number of the batch of every slot."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def first_of_batch(batch: Ints, limit: Ints) -> NDArray[np.bool_]:
    """Which of some slots, given by the ascending numbers of their batches, are among the first `limit` of theirs."""
    counts = np.bincount(batch, minlength=len(limit))
    return np.arange(len(batch)) - (np.cumsum(counts) - counts)[batch] < limit[batch]


def places_left(slots: Ints, starts: Ints, num_records: int, num_before: int) -> Ints:
    """How many empty places of each batch distinct records can fill."""
    held = np.add.reduceat(slots != NONE, starts[:-1]) if len(starts) > 1 else np.empty(0, dtype=np.int64)
    left = np.full(len(held), num_records)
    left[:1] -= num_before
    return np.clip(np.diff(starts) - held, 0, np.maximum(left - held, 0))


def fill_slots(slots: Ints, starts: Ints, stream: Ints, *, taken: Ints, num_records: int) -> Ints:
    """Fill empty places of each batch from the stream, no record twice in a batch, none of `taken` in the first one.

    What a batch already holds changes places with a record of a batch nearby; what fits nowhere stays out. A stream too
    short for all places is spread over them.
    """
    filled = slots.copy()
    room = places_left(slots, starts, num_records, len(taken))
    empty = np.flatnonzero(slots == NONE)
    empty = empty[first_of_batch(batch_of(starts)[empty], room)]
    places = empty[np.arange(len(stream)) * len(empty) // max(len(stream), 1)]
    filled[places] = stream
    movable = np.zeros(len(slots), dtype=bool)
    movable[places] = True
    for place in _conflicts(filled, movable, starts, taken):
        _move(filled, movable, int(place), starts, taken, num_records)
    return filled


def _conflicts(filled: Ints, movable: NDArray[np.bool_], starts: Ints, taken: Ints) -> Ints:
    """Movable places whose record the batch holds elsewhere, or the first one must not hold."""
    held = np.flatnonzero(filled != NONE)
    key = ((batch_of(starts)[held] * (int(filled.max(initial=0)) + 1) + filled[held]) << 1) | movable[held]
    order = argsort(key)
    twice = held[order[1:][key[order[1:]] >> 1 == key[order[:-1]] >> 1]]
    first = np.flatnonzero(movable[: starts[1]] & np.isin(filled[: starts[1]], taken)) if len(starts) > 1 else twice
    return np.union1d(twice, first)


def _move(filled: Ints, movable: NDArray[np.bool_], place: int, starts: Ints, taken: Ints, num_records: int) -> None:
    here, record = int(np.searchsorted(starts, place, side="right")) - 1, filled[place]
    mine = filled[starts[here] : starts[here + 1]]
    unwanted = here == 0 and bool((taken == record).any())
    if np.count_nonzero(mine == record) < 2 and not unwanted:
        return
    held = np.zeros(num_records + 1, dtype=bool)
    held[mine] = held[NONE] = True
    if here == 0:
        held[taken] = True
    for there in (here + sign * distance for distance in range(1, REACH) for sign in (1, -1)):
        if not 0 <= there < len(starts) - 1:
            continue
        part = slice(starts[there], starts[there + 1])
        if (filled[part] == record).any() or (there == 0 and (taken == record).any()):
            continue
        fits = np.flatnonzero(movable[part] & ~held[filled[part]])
        if len(fits):
            target = starts[there] + fits[0]
            filled[place], filled[target] = filled[target], record
            return
    filled[place] = NONE
