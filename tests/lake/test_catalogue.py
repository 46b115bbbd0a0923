"""The catalogue shows current versions, grows further views as their tables arrive, and is rebuilt after a crash."""

import json
import logging
from datetime import datetime

import dataframely as dy
import duckdb
import pytest

from lake.__main__ import main
from lake.catalogue import read_stamp


def shown(lake, query: str) -> list[tuple]:
    with duckdb.connect(str(lake.home / "warehouse.duckdb"), read_only=True) as catalogue:
        return catalogue.sql(query).fetchall()


def test_it_has_a_view_with_a_comment_per_table_over_absolute_paths(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    assert shown(lake, "select subject_id, sex from readings") == [(1, None), (2, "M"), (3, "F")]
    views = "select schema_name, view_name, comment, sql from duckdb_views() where view_name = 'readings'"
    bare, table = shown(lake, f"{views} order by schema_name")
    for schema, view in (("main", bare), ("tables", table)):
        assert view[:3] == (schema, "readings", "What was measured, one row per subject and time.")
    assert str(lake.files("readings")[0]) in table[3]


def test_a_session_that_is_open_keeps_its_version_and_a_new_one_sees_the_new(lake, readings, readings_rows, made_from):
    lake.publish(readings, readings_rows, **made_from)
    with duckdb.connect(str(lake.home / "warehouse.duckdb"), read_only=True) as session:
        lake.publish(readings, readings_rows.head(1), **{**made_from, "inputs": {"raw": "2"}})
        assert session.sql("select count(*) from readings").fetchall() == [(3,)]
    assert shown(lake, "select count(*) from readings") == [(1,)]


def test_a_view_waits_for_its_tables(lake, readings, events, readings_rows, made_from, caplog):
    lake.views_file.write_text(
        """-- further views
        create view both_tables as
        with r as (select subject_id from readings) select * from r join events using (subject_id);
        create view twice as select subject_id * 2 as double from readings; -- a trailing comment
        create view on_a_view as select double + 1 as n from twice;
        """
    )
    with caplog.at_level(logging.INFO, logger="lake"):
        lake.publish(readings, readings_rows, **made_from)
    assert "view both_tables of catalog.sql waits for events" in caplog.text
    assert shown(lake, "select n from on_a_view order by 1") == [(3,), (5,), (7,)]
    lake.publish(events, readings_rows.select("subject_id", "value", name="sex"), **made_from)
    assert shown(lake, "select count(*) from both_tables") == [(3,)]


@pytest.mark.parametrize("text", ["select 1;", "create table t as select 1;"])
def test_a_statement_that_is_no_view_is_an_error(lake, readings, readings_rows, made_from, text):
    lake.views_file.write_text(text)
    with pytest.raises(ValueError, match=r"catalog.sql: every statement must be 'create view'"):
        lake.publish(readings, readings_rows, **made_from)


def test_a_view_over_columns_that_are_not_there_yet_waits_too(lake, readings, readings_rows, made_from, caplog, capsys):
    lake.views_file.write_text(
        "create view wrong as select nowhere from readings; create view right_one as select sex from readings;"
    )
    lake.publish(readings, readings_rows, **made_from)
    assert "view wrong" in caplog.text and "nowhere" in caplog.text
    assert shown(lake, "select count(*) from right_one") == [(3,)]
    assert main(["ls", "--home", str(lake.home)]) == 0
    assert "view wrong does not run" in capsys.readouterr().out


def test_a_catalogue_that_lags_behind_is_rebuilt_when_its_table_is_found_current(
    lake, readings, readings_rows, made_from
):
    lake.publish(readings, readings_rows, **made_from)
    (lake.home / "warehouse.duckdb").unlink()
    assert lake.current(readings, **made_from) is not None
    assert shown(lake, "select count(*) from readings") == [(3,)]
    inode = (lake.home / "warehouse.duckdb").stat().st_ino
    lake.current(readings, **made_from)
    lake.refresh_catalogue()
    assert (lake.home / "warehouse.duckdb").stat().st_ino == inode


def test_the_macro_of_ids_is_there_for_people(lake, readings, readings_rows, made_from):
    from lake import id_share

    lake.publish(readings, readings_rows, **made_from)
    assert shown(lake, "select id_share('s', 5)") == [(id_share("s", 5),)]


def test_a_view_with_the_name_of_a_table_stands_before_it(lake, readings, readings_rows, made_from):
    lake.views_file.write_text(
        """create view readings as
        select r.*, p.created_time from tables.readings as r inner join published as p on p.table_name = 'readings';
        create view on_it as select created_time from readings;
        """
    )
    manifest = lake.publish(readings, readings_rows, **made_from)
    ((rows, earliest, latest),) = shown(lake, "select count(*), min(created_time), max(created_time) from on_it")
    assert rows == 3
    assert earliest == latest == datetime.fromisoformat(lake.timing("readings")["created_time"])
    ((version, num_rows),) = shown(lake, "select version, num_rows from published where table_name = 'readings'")
    assert (version, num_rows) == (manifest.version, 3)
    assert "created_time" not in {name for (name, *_) in shown(lake, "describe tables.readings")}


def test_a_view_in_front_of_a_table_that_does_not_run_leaves_the_table(lake, readings, readings_rows, made_from):
    lake.views_file.write_text("create view readings as select nowhere from tables.readings;")
    lake.publish(readings, readings_rows, **made_from)
    assert shown(lake, "select count(*) from readings") == [(3,)]


ALL_VIEWS = "select schema_name, view_name, sql, comment from duckdb_views() where not internal order by all"
FURTHER = """
create view readings as select r.*, p.layer from tables.readings as r join published as p on p.table_name = 'readings';
create view both_tables as select r.subject_id, e.name from readings as r join events as e using (subject_id);
create view on_both as select count(*) as n from both_tables;
"""


def test_views_replaced_one_after_the_other_are_those_of_a_rebuild(lake, readings, events, readings_rows, made_from):
    class OtherEvents(events):
        """What happened, and how sure that is."""

        certainty = dy.Float64(nullable=True)

    lake.views_file.write_text(FURTHER)
    named = readings_rows.select("subject_id", "value", name="sex")
    steps = [
        (readings, readings_rows),
        (events, named),
        (OtherEvents, named.with_columns(certainty=0.5)),
        (readings, readings_rows.head(2)),
    ]
    for number, (contract, rows) in enumerate([*steps, (events, named.head(1))]):
        lake.publish(contract, rows, **{**made_from, "inputs": {"raw": str(number)}})
        shows = shown(lake, ALL_VIEWS)
        waiting = read_stamp(lake.home)["waiting"]
        (lake.home / "warehouse.duckdb").unlink()
        lake.refresh_catalogue()
        assert (shows, waiting) == (shown(lake, ALL_VIEWS), read_stamp(lake.home)["waiting"])
    assert shown(lake, "from on_both") == [(1,)]


def test_a_publish_touches_no_other_tables_views(lake, readings, events, readings_rows, made_from):
    """A view that nobody should have put there stays while others are replaced, as long as the stamp vouches for it."""
    lake.publish(readings, readings_rows, **made_from)
    lake.publish(events, readings_rows.select("subject_id", "value", name="sex"), **made_from)
    catalogue, stamp = lake.home / "warehouse.duckdb", lake.home / "warehouse.json"
    with duckdb.connect(str(catalogue)) as session:
        session.execute("create or replace view readings as select 'mark' as mark")
    vouched = {**json.loads(stamp.read_text()), "written": catalogue.stat().st_mtime_ns}
    stamp.write_text(json.dumps(vouched))
    lake.publish(events, readings_rows.select("subject_id", "value", name="sex").head(1), **made_from)
    assert shown(lake, "from readings") == [("mark",)]
    assert shown(lake, "select count(*) from events") == [(1,)]
    with duckdb.connect(str(catalogue)) as session:
        session.execute("create view mine as select 1")
    lake.refresh_catalogue()
    assert shown(lake, "select count(*) from readings") == [(3,)]
