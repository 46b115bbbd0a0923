"""What one process does in one step: who is in the global batch, and the inputs of the records that it embeds itself.

Belongs here: cutting a batch into the shares of processes and into parts that fit into memory. Does not: which records
meet (`medcsp_model.batches`), how inputs become tensors (`medcsp_model.collate`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

from medcsp_model.batches import Plan
from medcsp_model.collate import Batch, Collate, Identities
from medcsp_model.distributed import Ranks
from medcsp_model.slots import Ints


@dataclass(frozen=True)
class Work:
    """One step of one process.

    Attributes:
        records: records of the global batch by source.
        identities: who they are.
        linked: places of linked records by pair of sources, int64 (2, k).
        rows: the places in the batch that this process embeds, by source.
        parts: their inputs, in as many parts as memory asks for; at least one.
    """

    records: dict[str, Ints]
    identities: dict[str, Identities]
    linked: dict[tuple[str, str], Tensor]
    rows: dict[str, range]
    parts: list[Batch]


def make_work(step: int, *, plan: Plan, collate: Collate, ranks: Ranks, micro_batch: int) -> Work:
    """The work of a step; with `micro_batch` 0 in one part."""
    records = plan.batch(step)
    rows = {name: ranks.share(len(values)) for name, values in records.items()}
    return Work(
        records=records,
        identities={name: collate.identities(name, values) for name, values in records.items()},
        linked=collate.linked_pairs(records),
        rows=rows,
        parts=[
            Batch({name: collate.source(name, records[name][part]) for name, part in parts.items()}, {})
            for parts in cut(rows, micro_batch)
        ],
    )


def cut(rows: Mapping[str, range], micro_batch: int) -> list[dict[str, slice]]:
    """Each source's rows in parts of at most `micro_batch`; a source with fewer parts has empty ones at the end."""
    longest = max((len(values) for values in rows.values()), default=0)
    length = micro_batch or max(longest, 1)
    starts = list(accumulate([length] * (max(-(-longest // length), 1) - 1), initial=0))
    return [
        {
            name: slice(min(values.start + start, values.stop), min(values.start + start + length, values.stop))
            for name, values in rows.items()
        }
        for start in starts
    ]
