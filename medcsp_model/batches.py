"""Which records meet in which batch: the link-aware plan and the random one, from record indices and links alone.

A plan is a function of (seed, epoch): the batch of any step can be asked for in any order, so that a run resumes from
one integer. One source is the anchor (X-ray images as a rule): an epoch passes over it once, each record exactly once.
Batches straddle epochs; a slot of the pass holds one anchor and at most one record of each other source, and a batch is
`size` consecutive slots. All are full, but for corpora of fewer than some five batches an epoch: there a record can
come up in the tail of one epoch and the head of the next, and is dropped once where that is one batch.

What does not live here: arrays of the records themselves (`medcsp_model.collate`).
"""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus import Corpus, Image
from medcsp_model.settings.training import BatchSettings
from medcsp_model.slots import (
    NONE,
    Ints,
    argsort,
    batch_of,
    fill_slots,
    first_of_batch,
    grain,
    keep_apart,
    level,
    mark,
    occurrence,
    places_left,
    spread,
)


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
    def from_corpus(
        cls,
        corpus: Corpus,
        *,
        split: str,
        sources: Sequence[str] = (),
        validation_share: float = 0.0,
        validation_seed: int = 0,
    ) -> "PlanInputs":
        """Records of one split without its validation subjects; a source that has none of them takes no part.

        Raises:
            ValueError: the split is unknown or empty, or all of it are validation subjects, or one of `sources`, which
                are all where none is named, is not in the corpus.
        """
        records, held_out_records = {}, 0
        if unknown := sorted(set(sources) - set(corpus.sources)):
            raise ValueError(f"settings.batch.sources: no source {unknown[0]!r}; the corpus has {list(corpus.sources)}")
        for name, source in corpus.sources.items():
            if sources and name not in sources:
                continue
            rows = corpus.records(name, splits=[split])
            held_out = is_validation(source.subject_id[rows], share=validation_share, seed=validation_seed)
            records[name] = rows[~held_out]
            held_out_records += int(held_out.sum())
        records = {name: rows for name, rows in records.items() if len(rows)}
        if not records and held_out_records:
            raise ValueError(
                f"settings.batch.validation_share: {validation_share} keeps out all {held_out_records} records of "
                f"split {split!r}; choose less"
            )
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


def is_validation(subject: Ints, *, share: float, seed: int) -> NDArray[np.bool_]:
    """Which records are of validation subjects: the leading 52 bits of md5 of "validation seed:subject" of 2^52.

    A hold-out of the corpus is drawn by md5 of "seed:subject": by the same hash and seed, a smaller share would lie in
    it, and nobody of what trains.
    """
    distinct, place = np.unique(subject, return_inverse=True)
    if not share:
        return np.zeros(len(subject), dtype=bool)
    digests = [
        hashlib.md5(f"validation {seed}:{value}".encode(), usedforsecurity=False).hexdigest() for value in distinct
    ]
    return np.array([int(digest[:13], 16) < share * 2**52 for digest in digests], dtype=bool)[place.ravel()]


class Plan(Protocol):
    """The batches of a run."""

    anchor: str
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
    """Cuts a pass of slots, one pass an epoch, into batches.

    The slots of an epoch are its body and its tail, the part of a batch which the next epoch finishes. A tail is drawn
    by itself, so that the epoch after it can keep out of its way without planning the whole epoch before: any batch
    costs one epoch at most.
    """

    def __init__(self, inputs: PlanInputs, *, settings: BatchSettings, seed: int) -> None:
        self.inputs, self.settings, self.seed = inputs, settings, seed
        counts = {name: len(records) for name, records in inputs.records.items()}
        self.anchor = settings.anchor or inputs.anchor or max(counts, key=lambda name: counts[name])
        self.others = [name for name in counts if name != self.anchor]
        self.num_anchors = counts[self.anchor]
        self.size = min(settings.size, self.num_anchors)
        self._tail = lru_cache(maxsize=4)(self._plan_tail)
        self._body = lru_cache(maxsize=2)(self._plan_body)

    def batch(self, step: int) -> dict[str, Ints]:
        """Distinct record indices of each source in the batch of a step (0, 1, ...)."""
        parts: dict[str, list[Ints]] = {name: [] for name in self.inputs.records}
        start, stop = step * self.size, (step + 1) * self.size
        while start < stop:
            epoch, place = divmod(start, self.num_anchors)
            length = min(stop - start, self.num_anchors - place)
            skipped = self.num_anchors - self._tail_length(epoch)
            part, place = (self._body(epoch), place) if place < skipped else (self._tail(epoch), place - skipped)
            for name, slots in part.items():
                parts[name].append(slots[place : place + length])
            start += length
        return {name: _distinct(np.concatenate(values)) for name, values in parts.items()}

    def epoch(self, epoch: int) -> dict[str, Ints]:
        """Slots of one pass by source: record indices, -1 for an empty place."""
        body, tail = self._body(epoch), self._tail(epoch)
        return {name: np.concatenate([slots, tail[name]]) for name, slots in body.items()}

    def _tail_length(self, epoch: int) -> int:
        """Slots of an epoch that begin a batch which the next epoch finishes; none before the first epoch."""
        return (epoch + 1) * self.num_anchors % self.size

    def _before(self, epoch: int) -> dict[str, Ints]:
        """Records of the unfinished batch that an epoch begins with."""
        if not self._tail_length(epoch - 1):
            return {name: np.empty(0, dtype=np.int64) for name in self.inputs.records}
        return self._tail(epoch - 1)

    def _starts(self, epoch: int) -> Ints:
        """Boundaries of the batches in the body of an epoch: 0, the end of the first one, ..., the body's length."""
        length = self.num_anchors - self._tail_length(epoch)
        head = -self._tail_length(epoch - 1) % self.size
        return np.concatenate([[0], np.arange(head or self.size, length + 1, self.size)]).astype(np.int64)

    def _plan_tail(self, epoch: int) -> dict[str, Ints]:
        raise NotImplementedError

    def _plan_body(self, epoch: int) -> dict[str, Ints]:
        raise NotImplementedError

    def _rng(self, *numbers: int | str) -> np.random.Generator:
        words = [zlib.crc32(number.encode()) if isinstance(number, str) else number for number in numbers]
        return np.random.default_rng([self.seed, *words])

    def _fill(self, name: str, slots: Ints, starts: Ints, stream: Ints, *, taken: Ints) -> Ints:
        return fill_slots(slots, starts, stream, taken=taken, num_records=len(self.inputs.subject[name]))


def _distinct(values: Ints) -> Ints:
    _, first = np.unique(values, return_index=True)
    kept = values[np.sort(first)]
    return kept[kept != NONE]


class RandomPlan(_SlotPlan):
    """Independent draws: a permutation of the anchors an epoch, permutations of the others one after another."""

    def _plan_tail(self, epoch: int) -> dict[str, Ints]:
        length, tail = self._tail_length(epoch), {}
        for name, records in self.inputs.records.items():
            drawn = self._rng("tail", name, epoch).choice(records, size=min(length, len(records)), replace=False)
            tail[name] = np.concatenate([drawn, np.full(length - len(drawn), NONE)]).astype(np.int64)
        return tail

    def _plan_body(self, epoch: int) -> dict[str, Ints]:
        starts, before = self._starts(epoch), self._before(epoch)
        anchors = self._permutation(self.anchor, epoch)
        anchors = anchors[~np.isin(anchors, self._tail(epoch)[self.anchor])]
        clash = np.isin(anchors, before[self.anchor])
        order = keep_apart(clash, np.zeros(len(anchors), dtype=np.int64), np.arange(len(anchors)), starts, 0)
        slots = {self.anchor: anchors[order]}
        for name in self.others:
            room = places_left(np.full(starts[-1], NONE), starts, len(self.inputs.records[name]), len(before[name]))
            stream = self._stream(name, epoch * self.num_anchors, int(room.sum()))
            slots[name] = self._fill(name, np.full(starts[-1], NONE), starts, stream, taken=before[name])
        return slots

    def _permutation(self, name: str, turn: int) -> Ints:
        return self._rng(name, turn).permutation(self.inputs.records[name]).astype(np.int64)

    def _stream(self, name: str, start: int, length: int) -> Ints:
        """A part of the endless stream of permutations."""
        count = len(self.inputs.records[name])
        turns = range(start // count, max(start + length - 1, start) // count + 1)
        stream = np.concatenate([self._permutation(name, turn) for turn in turns])
        return stream[start - turns[0] * count :][:length]


class LinkedPlan(_SlotPlan):
    """A set share of every batch is linked; every other place is filled as evenly as the links allow.

    Of each linked anchor one partner inside the window is chosen first, no record more than `max_draws` times an epoch.
    Anchors with and without a partner are then spread evenly over the epoch, and so are one patient's linked anchors;
    in each batch the first `share * size` linked patients keep their partner. A fill record is one drawn least so far,
    again at most `max_draws` times; among equals the turn passes on from epoch to epoch.
    """

    def __init__(self, inputs: PlanInputs, *, settings: BatchSettings, seed: int) -> None:
        super().__init__(inputs, settings=settings, seed=seed)
        self._anchors = inputs.records[self.anchor].astype(np.int64)
        self._subject = np.unique(inputs.subject[self.anchor][self._anchors], return_inverse=True)[1].ravel()
        self._linked = {name: self._partners(name) for name in self.others}
        self._turn = {name: self._rng("turn", name).permutation(len(inputs.records[name])) for name in self.others}
        self._rank = {name: np.argsort(turn) for name, turn in self._turn.items()}
        self._tail_links = lru_cache(maxsize=4)(self._plan_tail_links)
        self._quota = math.ceil(settings.share * self.size)
        stratum = np.zeros(self.num_anchors, dtype=np.int64)
        for number, (indptr, _) in enumerate(self._linked.values()):
            stratum |= (np.diff(indptr) > 0).astype(np.int64) << number
        kinds = sorted(np.unique(stratum).tolist(), key=lambda kind: (-kind.bit_count(), kind))
        self._strata = [np.flatnonzero(stratum == kind) for kind in kinds]

    def _plan_tail(self, epoch: int) -> dict[str, Ints]:
        rows, partners = self._tail_links(epoch)
        tail = {self.anchor: self._anchors[rows]}
        for name in self.others:
            slots, turn = partners[name].copy(), self._turn[name]
            places = np.arange(min(2 * len(rows), len(turn))) + epoch * self.num_anchors
            fill = self.inputs.records[name][turn[places % len(turn)]]
            empty = np.flatnonzero(slots == NONE)
            fill = fill[~np.isin(fill, slots)][: len(empty)]
            slots[empty[: len(fill)]] = fill
            tail[name] = slots
        return tail

    def _plan_tail_links(self, epoch: int) -> tuple[Ints, dict[str, Ints]]:
        """Rows of a tail's anchors and their partners by source."""
        length, none = self._tail_length(epoch), np.empty(0, dtype=np.int64)
        if not length:
            return none, dict.fromkeys(self.others, none)
        rng = self._rng("tail", epoch)
        rows, starts, quota = self._tail_anchors(length, rng), np.array([0, length]), np.array([self._quota])
        partners = {}
        for name in self.others:
            chosen = self._choose_partners(name, rows, self._count(name, none), rng)
            partners[name] = self._keep_share(chosen, self._subject[rows], starts, quota)
        return rows, partners

    def _tail_anchors(self, length: int, rng: np.random.Generator) -> Ints:
        """Rows of anchors in their strata's shares, linked ones rounded up, as far as can be of different subjects."""
        drawn, total = [np.empty(0, dtype=np.int64)], 0
        for rows in self._strata:
            before, total = total, total + len(rows)
            count = -(-length * total // self.num_anchors) - -(-length * before // self.num_anchors)
            some = rng.choice(rows, size=min(len(rows), 2 * count), replace=False)
            drawn.append(some[argsort(occurrence(self._subject[some]))][:count])
        return rng.permutation(np.concatenate(drawn))

    def _plan_body(self, epoch: int) -> dict[str, Ints]:
        rng, starts = self._rng("body", epoch), self._starts(epoch)
        before, tail = self._before(epoch), self._tail(epoch)
        num_before = {name: np.count_nonzero(self._tail_links(epoch - 1)[1][name] != NONE) for name in self.others}
        draws = {name: self._count(name, tail[name]) for name in self.others}
        rows = rng.permutation(self.num_anchors)
        rows = rows[~mark(self._anchors, tail[self.anchor])[rows]]
        chosen = {name: self._choose_partners(name, rows, draws[name], rng) for name in self.others}
        stratum = np.zeros(len(rows), dtype=np.int64)
        for number, name in enumerate(self.others):
            stratum |= (chosen[name] != NONE).astype(np.int64) << number
        order = spread(stratum, self._subject[rows], rng)
        clash = mark(self._anchors, before[self.anchor])[rows]
        for name in self.others:
            clash |= (chosen[name] != NONE) & mark(np.arange(len(draws[name])), before[name])[chosen[name]]
        order = order[keep_apart(clash[order], stratum[order], self._subject[rows[order]], starts, self._quota)]
        slots = {self.anchor: self._anchors[rows[order]]}
        for name in self.others:
            partners = chosen[name][order]
            partners[: starts[1]][np.isin(partners[: starts[1]], before[name])] = NONE
            quota = np.full(len(starts) - 1, self._quota)
            quota[:1] -= num_before[name]
            partners = self._keep_share(partners, self._subject[rows[order]], starts, quota)
            room = places_left(partners, starts, len(self.inputs.records[name]), len(before[name]))
            stream = self._fill_stream(name, draws[name] + self._count(name, partners), int(room.sum()), epoch, rng)
            slots[name] = self._fill(name, partners, starts, stream, taken=before[name])
        return slots

    def _count(self, name: str, slots: Ints) -> Ints:
        return np.bincount(slots[slots != NONE], minlength=len(self.inputs.subject[name]))

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
        return np.concatenate([[0], np.cumsum(counts)]), other[kept][by_anchor].astype(np.int64)

    def _choose_partners(self, name: str, rows: Ints, draws: Ints, rng: np.random.Generator) -> Ints:
        """One partner of each anchor that has any; with `draws` no record more than `max_draws` times; -1 for none."""
        indptr, linked = self._linked[name]
        first, counts = indptr[rows], indptr[rows + 1] - indptr[rows]
        places = np.flatnonzero(counts)
        picked = linked[first[places] + (rng.random(len(places)) * counts[places]).astype(np.int64)]
        limit = self.settings.max_draws
        over = occurrence(picked) + draws[picked] >= limit
        chosen = np.full(len(rows), NONE, dtype=np.int64)
        chosen[places[~over]] = picked[~over]
        draws = draws + self._count(name, picked[~over])
        for place in places[over & (counts[places] > 1)]:
            candidates = linked[first[place] : first[place] + counts[place]]
            best = candidates[np.argmin(draws[candidates])]
            if draws[best] < limit:
                chosen[place] = best
                draws[best] += 1
        return chosen

    def _keep_share(self, partners: Ints, subject: Ints, starts: Ints, quota: Ints) -> Ints:
        """Partners of the first places of each batch up to its quota, one a patient; -1 elsewhere."""
        places = np.flatnonzero(partners != NONE)
        batch = batch_of(starts)[places]
        new = occurrence(batch * (int(subject.max(initial=0)) + 1) + subject[places]) == 0
        places, batch = places[new], batch[new]
        kept = places[first_of_batch(batch, quota)]
        result = np.full(len(partners), NONE, dtype=np.int64)
        result[kept] = partners[kept]
        return result

    def _fill_stream(self, name: str, draws: Ints, length: int, epoch: int, rng: np.random.Generator) -> Ints:
        """Records to fill empty places with, each one's repeats far apart."""
        records = self.inputs.records[name]
        rotation = (self._rank[name] - epoch * length) % len(records)
        more = level(draws[records], length, limit=self.settings.max_draws, rotation=rotation)
        copies = np.repeat(np.arange(len(records)), more)
        repeat = np.arange(len(copies)) - np.repeat(np.cumsum(more) - more, more)
        return records[copies[argsort(grain((repeat + rng.random(len(records))[copies]) / more[copies]))]]
