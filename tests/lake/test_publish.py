"""Publishing: what comes back, what is kept aside, what fails and what then stays."""

import gzip
import logging
from collections import Counter
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data_contracts.base import Contract
from lake import Lake, PublishError, Query, TableMissing
from lake.ids import shard_of

T = datetime(2150, 1, 1)


def parts(lake: Lake, table: str) -> list[bytes]:
    return [path.read_bytes() for path in lake.files(table)]


# ---- what comes back ------------------------------------------------------------------------------------------


def test_rows_come_back_sorted_by_key_with_the_dtypes_of_the_contract(lake, readings, readings_rows, made_from):
    manifest = lake.publish(readings, readings_rows, **made_from)
    rows = lake.scan("readings").collect()
    assert rows.schema == pl.Schema(readings)
    assert_frame_equal(rows, readings_rows.sort("subject_id").with_columns(pl.col("sex").cast(pl.Enum(["M", "F"]))))
    assert (manifest.rows, manifest.rejected, manifest.num_duplicate_rows) == (3, {}, 0)


def test_minus_zero_becomes_zero_so_that_equal_rows_have_equal_bytes(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    assert str(lake.scan("readings").collect()["value"][1]) == "0.0"


class Types(Contract):
    """One column of every dtype that a table may hold."""

    table = "types"
    layer = "features"
    key = ("small",)

    small = dy.UInt8()
    wide = dy.UInt64(nullable=True)
    single = dy.Float32(nullable=True)
    truth = dy.Bool(nullable=True)
    day = dy.Date(nullable=True)
    clock = dy.Time(nullable=True)
    span = dy.Duration(time_unit="us", nullable=True)
    zoned = dy.Datetime(time_unit="us", time_zone="UTC", nullable=True)
    coarse = dy.Datetime(time_unit="ms", nullable=True)
    exact = dy.Decimal(10, 2, nullable=True)
    blob = dy.Binary(nullable=True)
    vector = dy.Array(dy.Float32(nullable=True), 2, nullable=True)
    words = dy.List(dy.String(nullable=True), nullable=True)
    kind = dy.Enum(["b", "a"], nullable=True)
    pair = dy.Struct({"x": dy.Int64(nullable=True), "y": dy.String(nullable=True)}, nullable=True)


def test_every_dtype_survives_with_nulls_and_empty_lists(lake, made_from):
    values = {
        "small": 255,
        "wide": 2**64 - 1,
        "single": 0.1,
        "truth": True,
        "day": T.date(),
        "clock": time(1, 2, 3),
        "span": timedelta(days=-1, microseconds=1),
        "zoned": T,
        "coarse": T,
        "exact": Decimal("-1.25"),
        "blob": b"\x00\xff",
        "vector": [1.5, None],
        "words": ["", None, "ü'\"\n"],
        "kind": "a",
        "pair": {"x": 1, "y": None},
    }
    nothing = {**dict.fromkeys(values), "small": 0}
    empty = {**nothing, "small": 1, "words": []}
    frame = pl.DataFrame([nothing, empty, values], schema=pl.Schema(Types))
    lake.publish(Types, frame, **made_from)
    assert_frame_equal(lake.scan("types").collect(), frame)


def test_a_wider_dtype_is_cast_where_its_values_fit(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows.with_columns(pl.col("subject_id").cast(pl.String)), **made_from)
    assert lake.scan("readings").collect()["subject_id"].to_list() == [1, 2, 3]


def test_a_column_that_the_contract_lacks_is_not_published(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows.with_columns(secret=pl.lit("x")), **made_from)
    assert "secret" not in lake.scan("readings").collect_schema()


def test_an_empty_table_has_its_schema(lake, readings, sharded_events, made_from):
    for contract in (readings, sharded_events):
        manifest = lake.publish(contract, pl.DataFrame(schema=pl.Schema(contract)), **made_from)
        rows = lake.scan(contract.table).collect()
        assert (manifest.rows, rows.height, rows.schema) == (0, 0, pl.Schema(contract))
        assert len(manifest.files) == (4 if contract.sharded else 1)


# ---- versions -------------------------------------------------------------------------------------------------


def test_the_version_names_the_content_whatever_the_order_of_the_rows(lake, readings, readings_rows, made_from):
    first = lake.publish(readings, readings_rows, **made_from)
    again = lake.publish(readings, readings_rows.reverse().lazy(), **{**made_from, "code_version": "other"})
    other = lake.publish(readings, readings_rows.head(2), **made_from)
    assert again.version == first.version != other.version
    assert again.fingerprint != first.fingerprint == other.fingerprint


def test_rows_that_come_in_order_until_some_do_not_are_all_in_order(lake, events, made_from):
    """What was written while they came in order goes back to be sorted with the rest, however few that are."""
    rows = pl.select(subject_id=pl.int_range(300_000), name=pl.lit("a"), value=pl.lit(1.0))
    in_order = lake.publish(events, rows, **made_from)
    late = lake.publish(events, pl.concat([rows[7:], rows[:7]]), **{**made_from, "inputs": {"raw": "2"}})
    assert lake.scan("events").collect()["subject_id"].to_list() == list(range(300_000))
    assert late.version == in_order.version


def test_a_column_of_another_dtype_is_another_version(lake, made_from):
    class Wide(Contract):
        """A number."""

        table = "number"
        layer = "tables"
        n = dy.Int64()

    class Narrow(Wide):
        """A number."""

        n = dy.Duration(time_unit="us")  # the same bytes in the file

    versions = [lake.publish(c, pl.DataFrame({"n": [1]}), **made_from).version for c in (Wide, Narrow)]
    assert versions[0] != versions[1]


def test_a_former_version_stays_readable_and_its_manifest_too(lake, readings, readings_rows, made_from):
    first = lake.publish(readings, readings_rows, **made_from)
    old_files = lake.files("readings")
    lake.publish(readings, readings_rows.head(1), **{**made_from, "inputs": {"raw": "2"}})
    assert pl.scan_parquet(old_files).select(pl.len()).collect().item() == 3
    assert [manifest.version for manifest in lake.history("readings")] == [first.version]


def test_the_manifest_says_what_a_version_was_made_from(lake, readings, readings_rows, made_from):
    manifest = lake.publish(readings, readings_rows, **made_from, extra={"edges": [1, 2]})
    assert lake.manifest("readings") == manifest
    assert manifest.inputs == {"raw": "1"} and manifest.settings == {"theta_days": 30}
    assert manifest.extra == {"edges": [1, 2]} and manifest.code_version == "code"
    assert manifest.description == "What was measured, one row per subject and time."
    assert set(manifest.engines) == {"duckdb", "polars", "dataframely"}
    assert lake.timing("readings")["seconds"] > 0


def test_a_table_is_current_until_code_inputs_settings_contract_or_files_change(
    lake, readings, readings_rows, made_from
):
    assert lake.current(readings, **made_from) is None
    manifest = lake.publish(readings, readings_rows, **made_from)
    assert lake.current(readings, **made_from) == manifest
    for change in ({"code_version": "x"}, {"inputs": {"raw": "2"}}, {"settings": {"theta_days": 31}}):
        assert lake.current(readings, **{**made_from, **change}) is None

    class Stricter(readings):
        """A contract that demands more."""

        value = dy.Float64(nullable=True, min=1)

    assert lake.current(Stricter, **made_from) is None
    lake.files("readings")[0].unlink()
    assert lake.current(readings, **made_from) is None


def test_a_table_that_moves_to_another_layer_is_found_there(lake, readings, readings_rows, made_from):
    class Moved(readings):
        """The same table."""

        layer = "records"

    lake.publish(readings, readings_rows, **made_from)
    manifest = lake.publish(Moved, readings_rows.head(1), **made_from)
    assert lake.manifest("readings") == manifest and lake.tables() == {"readings": manifest}
    assert lake.scan("readings").collect().height == 1


@pytest.mark.parametrize("damage", [lambda data: b"cut", lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:]])
def test_a_damaged_version_is_replaced_by_publishing_again(lake, readings, readings_rows, made_from, damage):
    lake.publish(readings, readings_rows, **made_from)
    before = parts(lake, "readings")
    lake.files("readings")[0].write_bytes(damage(before[0]))
    lake.publish(readings, readings_rows, **made_from)
    assert parts(lake, "readings") == before


# ---- rejected rows --------------------------------------------------------------------------------------------


def test_rows_that_break_a_rule_are_counted_by_rule_and_kept_aside(lake, readings, made_from, caplog):
    rows = pl.DataFrame(
        {
            "subject_id": ["1", "2", "3", "4", "five", "6"],
            "charttime": [T] * 6,
            "value": [1.0, -1.0, 2000.0, 1.0, 1.0, 1.0],
            "codes": [[1]] * 6,
            "sex": ["M", "M", "M", "X", "M", "F"],
            "_rejected": [None] * 5 + ["charttime: not a timestamp"],
        }
    )
    with caplog.at_level(logging.WARNING):
        manifest = lake.publish(readings, rows, **made_from)
    assert manifest.rejected == {
        "charttime: not a timestamp": 1,
        "plausible": 1,
        "sex|dtype": 1,
        "subject_id|dtype": 1,
        "value|min": 1,
    }
    assert lake.scan("readings").collect()["subject_id"].to_list() == [1]
    kept = lake.rejected("readings").collect()
    assert sorted(kept["subject_id"].to_list()) == ["2", "3", "4", "6", "five"]
    assert kept.filter(pl.col("_rejected") == "sex|dtype")["sex"].to_list() == ["X"]
    assert "5 of 6 rows rejected" in caplog.text


def test_no_rejected_rows_is_an_empty_frame(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    rejected = lake.rejected("readings").collect()
    assert rejected.height == 0 and rejected.columns == ["_rejected", *readings.column_names()]


def test_of_equal_rows_one_stays_and_of_conflicting_rows_none(lake, readings, made_from):
    rows = pl.DataFrame(
        {
            "subject_id": [1, 1, 1, 2, 2, 2, 3],
            "charttime": [T] * 7,
            "value": [1.0, 1.0, 1.0, 5.0, 5.0, 6.0, None],
            "codes": [[1, 2]] * 7,
            "sex": ["M"] * 7,
        }
    )
    manifest = lake.publish(readings, rows, **made_from)
    assert manifest.rejected == {"conflicting key": 3, "duplicate row": 2}
    assert lake.scan("readings").select("subject_id", "value").collect().rows() == [(1, 1.0), (3, None)]
    assert lake.rejected("readings").collect()["_rejected"].value_counts().sort("_rejected").rows() == [
        ("conflicting key", 3),
        ("duplicate row", 2),
    ]


def test_too_many_rejects_fail_and_what_was_published_stays(lake, readings, readings_rows, made_from):
    before = lake.publish(readings, readings_rows, **made_from)
    bad = pl.DataFrame(
        {
            "subject_id": range(1, 101),
            "charttime": [T] * 100,
            "value": [-1.0] * 10 + [1.0] * 90,
            "codes": [[1]] * 100,
            "sex": ["F"] * 100,
        }
    )
    changed = {**made_from, "inputs": {"raw": "2"}}
    with pytest.raises(PublishError, match=r"'readings': 10 of 100 rows rejected .*value\|min.*nothing was published"):
        lake.publish(readings, bad, **changed)
    assert lake.manifest("readings") == before
    (kept,) = (lake.home / "lake" / "tables" / "readings" / "rejected").glob("*.parquet")
    assert pl.read_parquet(kept).height == 10
    assert lake.publish(readings, bad, **changed, max_rejected_share=0.1).rejected == {"value|min": 10}
    with pytest.raises(PublishError, match="1 of 91 rows"):
        lake.publish(readings, bad.tail(91), **changed, max_rejected_share=0.0)
    assert lake.publish(readings, bad.tail(91), **changed).rejected == {"value|min": 1}


def test_a_table_of_rejects_alone_fails_however_small(lake, readings, readings_rows, made_from):
    with pytest.raises(PublishError, match="3 of 3 rows rejected"):
        lake.publish(readings, readings_rows.with_columns(value=pl.lit(-1.0)), **made_from)
    assert lake.manifest("readings") is None


def test_a_missing_column_is_named(lake, readings, readings_rows, made_from):
    with pytest.raises(PublishError, match=r"'readings': missing columns \['value'\].*subject_id"):
        lake.publish(readings, readings_rows.drop("value"), **made_from)


def test_a_truncated_source_fails_and_names_the_table(lake, events, made_from, tmp_path):
    path = tmp_path / "events.csv.gz"
    whole = gzip.compress("\n".join(f"{n},{n * 7 % 1013}" for n in range(20_000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    rows = pl.scan_csv(path, has_header=False, schema={"subject_id": pl.Int64, "value": pl.Float64})
    with pytest.raises(PublishError, match="table 'events': its rows cannot be made"):
        lake.publish(events, rows.with_columns(name=pl.lit("x")), **made_from)
    assert not (lake.home / "lake" / "tables" / "events" / ".staging").exists()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, -0.0, 1.0, None]), st.sampled_from(["M", "F", "X"])),
        max_size=12,
    )
)
def test_every_row_is_published_once_or_counted_once(readings, made_from, tmp_path_factory, rows):
    lake = Lake(tmp_path_factory.mktemp("home"), threads=1)
    frame = pl.DataFrame(rows, schema={"subject_id": pl.Int64, "value": pl.Float64, "sex": pl.String}, orient="row")
    frame = frame.with_columns(charttime=pl.lit(T), codes=pl.lit(None, pl.List(pl.Int32)))
    valid = [(i, v, s) for i, v, s in rows if i >= 1 and (v is None or v >= 0) and s != "X"]
    variants = {i: {(v, s) for j, v, s in valid if j == i} for i, _, _ in valid}
    kept = sorted((i, *next(iter(found))) for i, found in variants.items() if len(found) == 1)
    manifest = lake.publish(readings, frame, **made_from, max_rejected_share=1.0)
    assert lake.scan("readings").select("subject_id", "value", "sex").collect().rows() == kept
    assert sum(manifest.rejected.values()) == len(rows) - len(kept)


# ---- tables without a key, and shards -------------------------------------------------------------------------


def test_equal_rows_are_kept_and_counted_where_there_is_no_key(lake, events, sharded_events, made_from):
    rows = pl.DataFrame(
        {"subject_id": [2, 1, 2, 2, 3], "name": ["b", None, "b", "b", ""], "value": [1.0, None, 1, 2, 1]}
    )
    rows = pl.concat([rows, rows.head(2)])
    for contract in (events, sharded_events):
        manifest = lake.publish(contract, rows, **made_from)
        assert (manifest.rows, manifest.num_duplicate_rows) == (7, 3)
        assert Counter(lake.scan(contract.table).collect().rows()) == Counter(rows.rows())


def test_a_shard_holds_the_subjects_that_hash_to_it_sorted(lake, sharded_events, made_from):
    rows = pl.DataFrame(
        {"subject_id": [n % 25 for n in range(200)], "name": "x", "value": [float(-n) for n in range(200)]}
    )
    manifest = lake.publish(sharded_events, rows, **made_from)
    assert [file.path for file in manifest.files] == [f"part-{n:05d}.parquet" for n in range(4)]
    for number, path in enumerate(lake.files("sharded_events")):
        part = pl.read_parquet(path)
        assert part.equals(part.sort("subject_id", "value"))
        assert {shard_of(subject, 4) for subject in part["subject_id"]} == {number}
    assert manifest.rows == 200


# ---- queries and checks ---------------------------------------------------------------------------------------


def test_a_query_reads_tables_variables_and_the_hash_of_ids(lake, readings, events, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    text = """
    -- one row per reading
    select subject_id, sex as name, value * getvariable('factor') as value from readings
    where id_share('seed', subject_id) < 1.0; """
    lake.publish(events, Query(text, ["readings"], {"factor": 2}), **made_from)
    assert lake.scan("events").collect().rows() == [(1, None, None), (2, "M", 0.0), (3, "F", 7.0)]


def test_a_query_over_a_table_that_is_not_there_says_what_to_run(lake, events, made_from):
    with pytest.raises(TableMissing, match=r"table 'readings' is not published; run: dagster asset materialize"):
        lake.publish(events, Query("select * from readings", ["readings"]), **made_from)


def test_a_query_that_does_not_run_names_the_table(lake, events, made_from):
    with pytest.raises(PublishError, match=r"table 'events': its rows cannot be made: .*nowhere"):
        lake.publish(events, Query("select nowhere"), **made_from)


def test_a_check_that_finds_rows_stops_the_publish(lake, readings, events, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    rows = pl.DataFrame({"subject_id": [1, 99], "name": ["a", "b"], "value": [1.0, 2.0]})
    unknown = """with known as (select subject_id from readings)
    select * from events anti join known using (subject_id);"""
    checks = {"known_subjects": unknown}
    with pytest.raises(PublishError, match="table 'events': check 'known_subjects' found 1 failing rows"):
        lake.publish(events, rows, **made_from, checks=checks)
    assert lake.manifest("events") is None
    (kept,) = Path(lake.home / "lake" / "tables" / "events" / "rejected").glob("*-known_subjects.parquet")
    assert pl.read_parquet(kept)["subject_id"].to_list() == [99]
    limited = {"theta": "select * from events where value > getvariable('theta_days')"}
    assert lake.publish(events, rows.head(1), **made_from, checks={**checks, **limited}).rows == 1
