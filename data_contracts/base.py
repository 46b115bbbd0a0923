"""The base class of every contract: a dataframely schema plus what the lake needs to publish it.

A contract lists columns, dtypes, units and row rules once. Uniqueness is declared in `key` and checked by one SQL query
after the sort: dataframely's own primary-key rule needs the whole table in memory.
"""

from typing import ClassVar, Literal

import dataframely as dy

SHARD_COLUMN = "subject_id"
"""The column whose hash names the file that a row of a table split by subject lies in."""
SHARD_NUMBER_COLUMN = "shard"
"""The column that holds the number of that file, in a split table without subjects: sums over each file's subjects."""

Layer = Literal[
    "raw", "tables", "records", "links", "features", "labels", "corpus", "checkpoint", "evaluation", "report"
]


class Contract(dy.Schema):
    """A published table; the docstring's first line is its description and says the grain.

    Attributes:
        table: the name of the table in the lake, in SQL and in Dagster.
        layer: the asset group, and the folder of the lake.
        key: columns that identify a row; `()` where rows may repeat (exact duplicates are kept and counted).
        order: leading columns of the sort; the key by default. The remaining columns break ties, so the order is total.
        sharded: whether a version is split into files by subject, or by the column `shard`; the lake says into how
            many, the same for all tables.
    """

    table: ClassVar[str]
    layer: ClassVar[Layer]
    key: ClassVar[tuple[str, ...]] = ()
    order: ClassVar[tuple[str, ...]] = ()
    sharded: ClassVar[bool] = False
