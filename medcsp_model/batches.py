"""Which records meet in which batch: the link-aware plan and the random one, from record indices and links alone.

A plan is a function of (seed, epoch): the batch of any step can be asked for in any order, so that a run resumes from
one integer. One source is the anchor (X-ray images as a rule): an epoch passes over it once, each record exactly once.
Batches straddle epochs and are always full; a slot of the pass holds one anchor and at most one record of each other
source, and a batch is `size` consecutive slots.

What does not live here: arrays of the records themselves (`medcsp_model.collate`).
"""

import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus import Corpus, Image, ragged
from medcsp_model.settings import BatchSettings

Ints = NDArray[np.int64]
NONE = -1


@dataclass(frozen=True)
class PlanInputs:
    """What a plan needs to know.

    Attributes:
        records: record indices to train on, by source, ascending.
        subject: subject of every record of a source (also those not trained on).
        links: same-patient pairs inside the window as record indices, by pair of sources.
        anchor: source to pass over once an epoch where the settings name none; empty takes the largest.
    """

    records: Mapping[str, Ints]
    subject: Mapping[str, Ints]
    links: Mapping[tuple[str, str], tuple[Ints, Ints]]
    anchor: str = ""

    @classmethod
    def from_corpus(cls, corpus: Corpus, *, split: str) -> "PlanInputs":
        """Records of one split; a source that has none of them takes no part.

        Raises:
            ValueError: the split is unknown or empty.
        """
        records = {name: corpus.records(name, splits=[split]) for name in corpus.sources}
        records = {name: rows for name, rows in records.items() if len(rows)}
        if not records:
            raise ValueError(f"{corpus.folder}: no record in split {split!r}; splits: {corpus.splits}")
        subject = {name: corpus.sources[name].subject_id for name in records}
        links = {
            pair: (link.s.astype(np.int64), link.t.astype(np.int64))
            for pair, link in corpus.links.items()
            if set(pair) <= set(records)
        }
        with_images = {
            name: len(rows)
            for name, rows in records.items()
            if any(isinstance(modality, Image) for modality in corpus.sources[name].modalities.values())
        }
        return cls(records, subject, links, max(with_images, key=lambda name: with_images[name], default=""))


class Plan(Protocol):
    """The batches of a run."""

    num_anchors: int
    size: int

    def batch(self, step: int) -> dict[str, Ints]:
        """Distinct record indices of each source in the batch of a step (0, 1, ...)."""
        ...


def make_plan(inputs: PlanInputs, *, settings: BatchSettings, seed: int) -> "LinkedPlan | RandomPlan":
    """The plan that the settings ask for.

    Raises:
        ValueError: the anchor named in the settings has no records to train on.
    """
    if settings.anchor and settings.anchor not in inputs.records:
        raise ValueError(f"settings.batch.anchor: no records of {settings.anchor!r}; sources: {list(inputs.records)}")
    kind = LinkedPlan if settings.plan == "linked" else RandomPlan
    return kind(inputs, settings=settings, seed=seed)


def num_steps(plan: Plan, epochs: float) -> int:
    """Steps of so many passes over the anchors; the last one may be ragged."""
    return -int(-epochs * plan.num_anchors // plan.size)


class _SlotPlan:
    """Cuts a pass of slots, one pass an epoch, into batches; drops what a small corpus makes meet twice."""

    def __init__(self, inputs: PlanInputs, *, settings: BatchSettings, seed: int) -> None:
        self.inputs, self.settings, self.seed = inputs, settings, seed
        counts = {name: len(records) for name, records in inputs.records.items()}
        self.anchor = settings.anchor or inputs.anchor or max(counts, key=lambda name: counts[name])
        self.others = [name for name in counts if name != self.anchor]
        self.num_anchors = counts[self.anchor]
        self.size = min(settings.size, self.num_anchors)
        self._raw = lru_cache(maxsize=2)(self._raw_epoch)
        self._epoch = lru_cache(maxsize=2)(self._joined_epoch)

    def batch(self, step: int) -> dict[str, Ints]:
        """Distinct record indices of each source in the batch of a step (0, 1, ...)."""
        parts: dict[str, list[Ints]] = {name: [] for name in self.inputs.records}
        start, stop = step * self.size, (step + 1) * self.size
        while start < stop:
            epoch, place = divmod(start, self.num_anchors)
            length = min(stop - start, self.num_anchors - place)
            for name, slots in self._epoch(epoch).items():
                parts[name].append(slots[place : place + length])
            start += length
        return {name: _distinct(np.concatenate(values)) for name, values in parts.items()}

    def epoch(self, epoch: int) -> dict[str, Ints]:
        """Slots of one pass by source: record indices, -1 for an empty place."""
        return self._epoch(epoch)

    def _boundary(self, epoch: int) -> int:
        """Slots of an epoch that finish the batch which the epoch before began."""
        return -epoch * self.num_anchors % self.size

    def _segments(self, epoch: int) -> Ints:
        """Number of the batch of every slot of an epoch."""
        return (epoch * self.num_anchors + np.arange(self.num_anchors)) // self.size

    def _raw_epoch(self, epoch: int) -> dict[str, Ints]:
        raise NotImplementedError

    def _kinds(self, slots: Mapping[str, Ints], epoch: int) -> Ints:
        """Slots of equal kind may change places."""
        raise NotImplementedError

    def _joined_epoch(self, epoch: int) -> dict[str, Ints]:
        """An epoch whose first slots hold no record of the unfinished batch of the epoch before.

        Only slots outside the last batch change places, so that an epoch's end, which the next one must know, depends
        on that epoch alone.
        """
        slots = {name: values.copy() for name, values in self._raw(epoch).items()}
        head = self._boundary(epoch)
        if not head or not epoch:
            return slots
        before = self._raw(epoch - 1)
        tail = {name: set(values[head - self.size :].tolist()) - {NONE} for name, values in before.items()}
        clash = np.zeros(self.num_anchors, dtype=bool)
        for name, values in slots.items():
            clash |= np.isin(values, list(tail[name]))
        kinds, segments = self._kinds(slots, epoch), self._segments(epoch)
        last = self.num_anchors - self._boundary_after(epoch)
        free = [place for place in range(head, last) if not clash[place]]
        for place in np.flatnonzero(clash[:head]):
            self._exchange(slots, int(place), free, kinds, segments)
        return slots

    def _boundary_after(self, epoch: int) -> int:
        return (self.size - self._boundary(epoch + 1)) % self.size

    def _exchange(self, slots: dict[str, Ints], place: int, free: list[int], kinds: Ints, segments: Ints) -> None:
        def fits(target: int) -> bool:
            if kinds[target] != kinds[place]:
                return False
            for values in slots.values():
                here, there = segments == segments[place], segments == segments[target]
                if values[target] != NONE and np.count_nonzero(values[here] == values[target]):
                    return False
                if values[place] != NONE and np.count_nonzero(values[there] == values[place]):
                    return False
            return True

        for target in free:
            if fits(target):
                for values in slots.values():
                    values[place], values[target] = values[target], values[place]
                free.remove(target)
                return


def _distinct(values: Ints) -> Ints:
    _, first = np.unique(values, return_index=True)
    kept = values[np.sort(first)]
    return kept[kept != NONE]


class RandomPlan(_SlotPlan):
    """Independent draws: a permutation of the anchors an epoch, permutations of the others one after another."""

    def _raw_epoch(self, epoch: int) -> dict[str, Ints]:
        slots = {self.anchor: self._permutation(self.anchor, epoch)}
        for name in self.others:
            slots[name] = self._stream(name, epoch)
        return slots

    def _kinds(self, slots: Mapping[str, Ints], epoch: int) -> Ints:
        return np.zeros(self.num_anchors, dtype=np.int64)

    def _permutation(self, name: str, turn: int) -> Ints:
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode()), turn])
        return rng.permutation(self.inputs.records[name]).astype(np.int64)

    def _stream(self, name: str, epoch: int) -> Ints:
        """The part of the endless stream of permutations that falls into an epoch, without repeats inside a batch."""
        count, start = len(self.inputs.records[name]), epoch * self.num_anchors
        turns = range(start // count, (start + self.num_anchors - 1) // count + 1)
        stream = np.concatenate([self._permutation(name, turn) for turn in turns])[start - turns[0] * count :]
        return _fill(self._segments(epoch), deque(stream.tolist()), np.full(self.num_anchors, NONE))


class LinkedPlan(_SlotPlan):
    """A set share of every batch is linked; every other place is filled as evenly as the links allow.

    Of each linked anchor one partner inside the window is chosen first, no record more than `max_draws` times an epoch.
    Anchors with and without a partner are then spread evenly over the epoch, and so are one patient's linked anchors;
    in each batch the first `share * size` linked patients keep their partner. A fill record is one drawn least so far,
    again at most `max_draws` times.
    """

    def __init__(self, inputs: PlanInputs, *, settings: BatchSettings, seed: int) -> None:
        super().__init__(inputs, settings=settings, seed=seed)
        self._linked = {name: self._partners(name) for name in self.others}

    def _raw_epoch(self, epoch: int) -> dict[str, Ints]:
        rng = np.random.default_rng([self.seed, epoch])
        anchors = self.inputs.records[self.anchor]
        chosen = {name: self._choose_partners(name, rng) for name in self.others}
        stratum = np.zeros(len(anchors), dtype=np.int64)
        for number, name in enumerate(self.others):
            stratum += (chosen[name] != NONE).astype(np.int64) << number
        order = _spread(stratum, self.inputs.subject[self.anchor][anchors], rng)
        slots = {self.anchor: anchors[order].astype(np.int64)}
        segments = self._segments(epoch)
        for name in self.others:
            partners = self._keep_share(chosen[name][order], slots[self.anchor], segments)
            slots[name] = self._fill(name, partners, segments, epoch, rng)
        return slots

    def _kinds(self, slots: Mapping[str, Ints], epoch: int) -> Ints:
        kinds = np.zeros(self.num_anchors, dtype=np.int64)
        for number, name in enumerate(self.others):
            subject = self.inputs.subject[name][slots[name]]
            same = subject == self.inputs.subject[self.anchor][slots[self.anchor]]
            kinds += ((slots[name] != NONE) & same).astype(np.int64) << number
        return kinds

    def _partners(self, name: str) -> tuple[Ints, Ints]:
        """Linked records of each anchor as compressed sparse rows (boundaries, records)."""
        pairs = self.inputs.links
        if (name, self.anchor) in pairs:
            other, anchor = pairs[name, self.anchor]
        elif (self.anchor, name) in pairs:
            anchor, other = pairs[self.anchor, name]
        else:
            anchor = other = np.empty(0, dtype=np.int64)
        rows, members = self.inputs.records[self.anchor], self.inputs.records[name]
        kept = np.isin(anchor, rows) & np.isin(other, members)
        place = np.searchsorted(rows, anchor[kept])
        by_anchor = np.lexsort((other[kept], place))
        counts = np.bincount(place, minlength=len(rows))
        return np.concatenate([[0], np.cumsum(counts)]), other[kept][by_anchor]

    def _choose_partners(self, name: str, rng: np.random.Generator) -> Ints:
        """One partner of each anchor that has any, no record more than `max_draws` times; -1 for none."""
        indptr, linked = self._linked[name]
        counts = np.diff(indptr)
        chosen = np.full(len(counts), NONE, dtype=np.int64)
        rows = rng.permutation(np.flatnonzero(counts))
        chosen[rows] = linked[indptr[rows] + (rng.random(len(rows)) * counts[rows]).astype(np.int64)]
        limit = self.settings.max_draws
        over = rows[_occurrence(chosen[rows]) >= limit]
        chosen[over] = NONE
        draws = np.bincount(chosen[chosen != NONE], minlength=len(self.inputs.subject[name]))
        for row in over[counts[over] > 1]:
            candidates = linked[indptr[row] : indptr[row + 1]]
            best = candidates[np.argmin(draws[candidates])]
            if draws[best] < limit:
                chosen[row] = best
                draws[best] += 1
        return chosen

    def _keep_share(self, partners: Ints, anchors: Ints, segments: Ints) -> Ints:
        """Partners of the first `share` of each batch's places, one a patient; -1 elsewhere."""
        places = np.flatnonzero(partners != NONE)
        subject = self.inputs.subject[self.anchor][anchors[places]]
        first = places[_occurrence(np.stack([segments[places], subject])) == 0]
        lengths = np.bincount(segments - segments[0])
        quota = np.ceil(self.settings.share * lengths).astype(np.int64)
        kept = first[_occurrence(segments[first]) < quota[segments[first] - segments[0]]]
        result = np.full(len(partners), NONE, dtype=np.int64)
        result[kept] = partners[kept]
        return result

    def _fill(self, name: str, slots: Ints, segments: Ints, epoch: int, rng: np.random.Generator) -> Ints:
        records = self.inputs.records[name]
        draws = np.bincount(slots[slots != NONE], minlength=len(self.inputs.subject[name]))[records]
        turn = np.random.default_rng([self.seed, zlib.crc32(name.encode())]).permutation(len(records))
        places = int(np.count_nonzero(slots == NONE))
        more = _level(draws, places, limit=self.settings.max_draws, rotation=(turn - epoch * places) % len(records))
        copies = np.repeat(np.arange(len(records)), more)
        key = (_occurrence(copies) + rng.random(len(records))[copies]) / more[copies]
        stream = records[copies[np.argsort(key, kind="stable")]]
        return _fill(segments, deque(stream.tolist()), slots)


def _occurrence(values: Ints) -> Ints:
    """How often each value (or column of values) stood before, int64 of the last axis's length."""
    columns = np.atleast_2d(values)
    order = np.lexsort(columns[::-1])
    new = np.ones(columns.shape[1], dtype=bool)
    new[1:] = (columns[:, order[1:]] != columns[:, order[:-1]]).any(axis=0)
    starts = np.flatnonzero(new)
    run = np.arange(len(order)) - starts[np.cumsum(new) - 1] if len(order) else np.empty(0, dtype=np.int64)
    result = np.empty(len(order), dtype=np.int64)
    result[order] = run
    return result


def _spread(stratum: Ints, subject: Ints, rng: np.random.Generator) -> Ints:
    """An order in which every stretch holds each stratum in its share and the records of a subject lie apart."""
    shuffled = rng.permutation(len(stratum))
    group = np.unique(np.stack([stratum, subject]), axis=1, return_inverse=True)[1].ravel()[shuffled]
    apart = (_occurrence(group) + rng.random(group.max() + 1)[group]) / np.bincount(group)[group]
    shuffled = shuffled[np.argsort(apart, kind="stable")]
    kind = stratum[shuffled]
    share = (_occurrence(kind) + rng.random(kind.max() + 1)[kind]) / np.bincount(kind)[kind]
    return shuffled[np.argsort(share, kind="stable")].astype(np.int64)


def _level(draws: Ints, places: int, *, limit: int, rotation: Ints) -> Ints:
    """How often to draw each record more, so that totals are level and at most `limit`; ties go by `rotation`."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.maximum(middle - draws, 0).sum() <= places else (low, middle - 1)
    more = np.maximum(low - draws, 0)
    rest = places - int(more.sum())
    open_records = np.flatnonzero((draws + more == low) & (low < limit))
    more[open_records[np.argsort(rotation[open_records], kind="stable")[:rest]]] += 1
    return more


def _fill(segments: Ints, stream: deque[int], slots: Ints) -> Ints:
    """Fill the empty slots of each batch from the stream; what a batch already holds waits for the next one."""
    filled = slots.copy()
    boundaries = [0, *(np.flatnonzero(np.diff(segments)) + 1).tolist(), len(segments)]
    for start, stop in pairwise(boundaries):
        part = filled[start:stop]
        held = set(part.tolist())
        waiting: list[int] = []
        for place in np.flatnonzero(part == NONE):
            while stream and stream[0] in held:
                waiting.append(stream.popleft())
            if not stream:
                break
            part[place] = stream.popleft()
            held.add(int(part[place]))
        stream.extendleft(reversed(waiting))
    _place_leftovers(filled, slots == NONE, segments, stream)
    return filled


def _place_leftovers(filled: Ints, movable: NDArray[np.bool_], segments: Ints, stream: deque[int]) -> None:
    """Give the last records of the stream a place by moving one filled in before; what fits nowhere stays out."""
    for place in np.flatnonzero(filled == NONE):
        here = set(filled[segments == segments[place]].tolist())
        for record in list(stream):
            holding = np.unique(segments[filled == record])
            free = movable & ~np.isin(segments, holding) & (filled != NONE) & ~np.isin(filled, list(here))
            if free.any():
                target = np.flatnonzero(free)[-1]
                filled[place], filled[target] = filled[target], record
                stream.remove(record)
                break


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
