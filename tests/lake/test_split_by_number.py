"""A split table without subjects: the column `shard` says which file a row lies in."""

import dataframely as dy
import polars as pl
import pytest

from data_contracts import Contract
from lake import ByShard
from lake.publish import PublishError


class Sums(Contract):
    """One sum of one shard."""

    table, layer, sharded, key = "sums", "records", True, ("shard", "name")

    shard = dy.Int32(min=0)
    name = dy.String(nullable=False)
    total = dy.UInt64()


def rows_of(shard):
    return pl.DataFrame({"shard": shard, "name": ["b", "a"], "total": [2**64 - 1, shard]}, schema=pl.Schema(Sums))


def test_rows_lie_in_the_file_of_their_number(lake, made_from):
    names = [f"key {shard}" for shard in range(lake.num_shards)]
    lake.publish(Sums, ByShard(rows_of, names), **made_from)
    held = [pl.read_parquet(path) for path in lake.files("sums")]
    assert [set(part["shard"]) for part in held] == [{shard} for shard in range(lake.num_shards)]
    assert held[2]["total"].to_list() == [2, 2**64 - 1]
    assert lake.scan("sums", shard=2).collect().equals(held[2])


def test_all_at_once_gives_the_same_files(lake, made_from):
    names = [f"key {shard}" for shard in range(lake.num_shards)]
    by_shard = lake.publish(Sums, ByShard(rows_of, names), **made_from)
    together = lake.publish(Sums, pl.concat([rows_of(shard) for shard in (3, 0, 2, 1)]), **made_from)
    assert together.version == by_shard.version


def test_a_row_of_another_shard_is_refused(lake, made_from):
    names = [f"key {shard}" for shard in range(lake.num_shards)]
    with pytest.raises((ValueError, PublishError), match="shard 1 among"):
        lake.publish(Sums, ByShard(lambda shard: rows_of(1), names), **made_from)


def test_empty_files_are_one_file_with_the_bytes_of_each_alone(lake, made_from):
    names = [f"key {shard}" for shard in range(lake.num_shards)]
    lake.publish(Sums, ByShard(lambda shard: rows_of(shard)[:0], names), **made_from)
    alone = [path.read_bytes() for path in lake.files("sums")]
    lake.publish(Sums, rows_of(1), **{**made_from, "code_version": "rows of shard 1"})
    files = lake.files("sums")
    assert [path.read_bytes() for number, path in enumerate(files) if number != 1] == alone[1:]
    assert pl.read_parquet(files[1]).height == 2
    assert len({path.stat().st_ino for path in files}) == 2


def test_a_contract_that_demands_more_takes_over_no_file(lake, made_from):
    class Stricter(Sums):
        """One small sum of one shard."""

        total = dy.UInt64(max=3)

    names = [f"key {shard}" for shard in range(lake.num_shards)]
    lake.publish(Sums, ByShard(rows_of, names), **made_from)
    found = lake.publish(Stricter, ByShard(rows_of, names), **made_from, max_rejected_share=1.0)
    assert (found.rows, found.rejected) == (4, {"total|max": 4})


def test_a_damaged_file_is_made_again_and_not_taken_over(lake, made_from):
    names = [f"key {shard}" for shard in range(lake.num_shards)]
    before = lake.publish(Sums, ByShard(rows_of, names), **made_from)
    path = lake.files("sums")[2]
    content = path.read_bytes()
    path.write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
    assert lake.publish(Sums, ByShard(rows_of, names), **made_from).version == before.version
    assert path.read_bytes() == content


class Names(Contract):
    """A name that no other shard may hold."""

    table, layer, sharded, key = "names", "records", True, ("name",)

    shard = dy.Int32(min=0)
    name = dy.String(nullable=False)


def test_a_row_that_conflicted_with_another_shard_is_back_when_that_one_drops_it(lake, made_from):
    def publish(*holders):
        def make(shard):
            return pl.DataFrame({"shard": [shard], "name": ["x"]}, schema=pl.Schema(Names))[: int(shard in holders)]

        keys = [f"key {shard} {shard in holders}" for shard in range(lake.num_shards)]
        return lake.publish(Names, ByShard(make, keys), **made_from, max_rejected_share=1.0)

    assert publish(0, 1).rejected == {"conflicting key": 2}
    publish(1)
    assert lake.scan("names").collect().rows() == [(1, "x")]
