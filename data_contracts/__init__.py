"""The columns of every published table: names, dtypes, units, keys and row rules; one class per table.

One module per layer. What belongs here: facts about single rows and keys. What does not: rules over several tables
(they are SQL in `sql/checks/`) and how a table is made (`sql/`, `pipelines/`).
"""

from data_contracts import (
    corpus,
    evaluation,
    features,
    films,
    labels,
    links,
    prediction,
    radiology,
    records,
    static,
    studies,
    tables,
    training,
)
from data_contracts.base import Contract, Layer

_MODULES = (
    tables,
    films,
    records,
    links,
    features,
    static,
    labels,
    prediction,
    corpus,
    training,
    evaluation,
    radiology,
    studies,
)


def _all_contracts() -> dict[str, type[Contract]]:
    contracts: dict[str, type[Contract]] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Contract) and isinstance(vars(value).get("table"), str):
                assert value.table not in contracts, f"two contracts name the table {value.table}"
                contracts[value.table] = value
    return contracts


CONTRACTS = _all_contracts()
"""Every contract by the name of its table."""

__all__ = ["CONTRACTS", "Contract", "Layer"]
