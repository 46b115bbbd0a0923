"""Column lineage of a SQL file, parsed with sqlglot: which input columns each output column is made from."""

import dagster as dg
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from data_contracts import CONTRACTS, Contract


def column_lineage(sql: str, contract: type[Contract], inputs: tuple[str, ...]) -> dg.TableColumnLineage:
    """Return, for each column of the contract, the columns of the inputs that reach it.

    Raises:
        sqlglot.errors.SqlglotError: the file cannot be parsed or names a column that no input has.
    """
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(asset_key=table, column_name=name) for table, name in sorted(sources)]
            for column, sources in source_columns(sql, contract, inputs).items()
        }
    )


def source_columns(sql: str, contract: type[Contract], inputs: tuple[str, ...]) -> dict[str, set[tuple[str, str]]]:
    """Return the (table, column) pairs behind each output column of a SELECT."""
    schema: dict[str, object] = {name: dict.fromkeys(CONTRACTS[name].columns(), "text") for name in inputs}
    expression = qualify(parse(sql), schema=schema, dialect="duckdb", validate_qualify_columns=False)
    scope = build_scope(expression)
    if scope is None:
        raise SqlglotError("the file holds no SELECT")
    found: dict[str, set[tuple[str, str]]] = {}
    for column in contract.columns():
        node = lineage(column, expression, schema=schema, dialect="duckdb", scope=scope, trim_selects=False)
        found[column] = {
            (leaf.expression.name, leaf.name.rsplit(".", 1)[-1].strip('"'))
            for leaf in node.walk()
            if not leaf.downstream and isinstance(leaf.expression, exp.Table) and leaf.expression.name in schema
        }
    return found


def parse(sql: str) -> exp.Expression:
    """Return the one statement of a SQL file."""
    import sqlglot

    statement = sqlglot.parse_one(sql, dialect="duckdb")
    assert isinstance(statement, exp.Expression)
    return statement
