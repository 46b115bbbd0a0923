"""Reading: views with variables, spilling, and a clear word for a table that is not there."""

from datetime import datetime

import polars as pl
import pytest

from lake import Lake, TableMissing, default_home
from lake.sql import SqlFile, unordered


def test_a_connection_sees_the_tables_it_names_and_the_variables(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    variables = {"theta_days": 30, "share": 0.15, "names": ["a", "b"], "record_time": "admission", "nothing": None}
    with lake.connect(["readings"], variables) as connection:
        asked = ", ".join(f"getvariable('{name}')" for name in variables)
        query = f"select {asked}, count(*) from readings"
        assert connection.sql(query).fetchall() == [(*variables.values(), 3)]
    assert not list((lake.home / "scratch" / "duckdb").iterdir())


def test_rows_of_a_query_are_counted_once_its_tables_are_there(lake, readings, readings_rows, made_from):
    assert lake.count("select 1 from readings") is None
    lake.publish(readings, readings_rows, **made_from)
    assert lake.count("-- a rule\nselect 1 from readings;\n") == 3
    assert lake.count("select 1 from readings where false") == 0


def test_a_connection_spills_below_the_home_and_leaves_nothing(tmp_path):
    lake = Lake(tmp_path / "home", memory_limit="40MB", threads=1)
    with lake.connect() as connection:
        connection.execute("create table t as select hash(i) as h from range(4_000_000) r(i) order by h")
        assert list((lake.home / "scratch" / "duckdb").rglob("duckdb_temp*"))
        assert connection.sql("select count(*) from t").fetchall() == [(4_000_000,)]
    assert not list((lake.home / "scratch" / "duckdb").iterdir())


@pytest.mark.parametrize("read", [Lake.scan, Lake.files, Lake.rejected, lambda lake, table: lake.connect([table])])
def test_a_table_that_is_not_there_says_what_to_run(lake, read):
    with pytest.raises(
        TableMissing,
        match=r"^table 'ehr_records' is not published; run: dagster asset materialize --select '\*ehr_records'$",
    ):
        read(lake, "ehr_records")
    assert lake.manifest("ehr_records") is None


def test_a_table_in_other_shards_than_the_profile_asks_for_names_setting_and_command(lake, sharded_events, made_from):
    lake.publish(sharded_events, sharded_events.create_empty(), **made_from)
    other = Lake(lake.home, num_shards=3)
    wanted = r"^table 'sharded_events' lies in 4 shards, and num_shards .* is 3; .* --select '\*sharded_events'$"
    for read in (other.shard_digests, lambda table: other.scan(table, shard=0)):
        with pytest.raises(ValueError, match=wanted):
            read("sharded_events")


def test_a_home_whose_name_is_a_pattern_reads_its_own_files_alone(tmp_path, sharded_events, readings, made_from):
    """A path is a pattern to DuckDB and Polars: `g[1]` matches the sibling `g1`, and not itself."""
    homes = [Lake(tmp_path / name, threads=1) for name in ("g1 xy", "g[1] x*")]
    day = datetime(2150, 1, 1)
    for number, lake in enumerate(homes):
        rows = pl.DataFrame({"subject_id": [1, 2], "name": ["a", "b"], "value": [float(number)] * 2})
        lake.publish(sharded_events, rows, **made_from)
        twice = pl.DataFrame({"subject_id": [3, 3, 4], "charttime": [day] * 3, "value": [float(number)] * 3})
        twice = twice.with_columns(codes=pl.lit(None, pl.List(pl.Int32)), sex=pl.lit(None, pl.String))
        rule = f"select * from readings where value <> {number}"
        lake.publish(readings, pl.concat([twice, twice[:1]]), **made_from, checks={"own": rule}, max_rejected_share=1)
    lake = homes[1]
    tables = ["sharded_events", "readings"]
    assert [set(lake.scan(name).collect()["value"]) for name in tables] == [{1.0}, {1.0}]
    assert set(lake.scan("readings", shard=0).collect()["value"]) | {1.0} == {1.0}
    assert lake.rejected("readings").collect()["value"].unique().to_list() == ["1.0"]
    with lake.connect(tables) as connection:
        assert connection.sql(
            "select distinct value from readings union from (select value from sharded_events)"
        ).fetchall() == [(1.0,)]


def test_a_run_folder_is_named_by_its_fingerprint_and_stays(lake):
    folder = lake.run_folder("pretrain_checkpoint", "abc")
    (folder / "weights").touch()
    assert lake.run_folder("pretrain_checkpoint", "abc") == folder == lake.home / "runs" / "pretrain_checkpoint" / "abc"
    assert (folder / "weights").exists()


def test_the_home_comes_from_the_environment_else_stands_beside_the_code(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDCSP_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("MEDCSP_HOME")
    assert default_home().name == ".medcsp" and (default_home().parent / "lake" / "store.py").is_file()


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("select a from t order by a, b desc;\n", "select a from t "),
        (
            "select ' limit' as \"order by\" -- order by\nfrom t ORDER\n BY a",
            "select ' limit' as \"order by\" -- order by\nfrom t ",
        ),
        ("select distinct on (a) a, b from t order by a, b", None),
        ("select a from t order by a limit 3", "select a from t order by a limit 3"),
        ("select row_number() over (order by a) as n from (from t order by b)", None),
    ],
)
def test_only_the_order_of_the_result_is_left_to_the_publish(statement, kept):
    assert unordered(statement) == (statement if kept is None else kept)


def test_parts_of_a_statement_stand_before_it_each_after_those_it_reads(
    lake, readings, readings_rows, made_from, tmp_path
):
    lake.publish(readings, readings_rows, **made_from)
    path = tmp_path / "whole.sql"
    path.write_text("-- Grain.\nwith own as (\n    select n + 1 as n from a_part\n)\n\nselect n from own\n")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "a_part.sql").write_text(
        "-- First by name, second by need.\nselect n * 10 as n\nfrom later;\n"
    )
    (tmp_path / "whole" / "later.sql").write_text("select count(*) as n from readings\n")
    with lake.connect(["readings"]) as connection:
        assert connection.sql(SqlFile.read(path).statement()).fetchall() == [(31,)]
    path.write_text("select n from a_part\n")
    with pytest.raises(ValueError, match=r"whole.sql: a statement with parts begins with 'with'"):
        SqlFile.read(path).statement()
