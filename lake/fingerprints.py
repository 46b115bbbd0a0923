"""Fingerprints: what a table was made from, as one short hash, for memoisation.

The hash of code lies in `lake.code`; here are the contract's and the one over everything together.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import dataframely as dy

from data_contracts.base import Contract
from lake.code import function_code
from lake.columns import contract_columns
from lake.files import canonical_json

NUM_HEX_DIGITS = 16
WRITING = 2
"""Raised where the same rows would leave other bytes than before, so that every table is made again: 2 sorts rows that
come out of order late, and writes floats plain."""
_DOCUMENTATION = {"description", "metadata"}  # words for people change no row


def short_hash(text: str) -> str:
    """The leading 16 hex digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:NUM_HEX_DIGITS]


def fingerprint(
    *, code_version: str, inputs: Mapping[str, str], settings: Mapping[str, Any], contract_hash: str = ""
) -> str:
    """The hash of everything an output is made from, 16 hex digits: equal hashes need no second run.

    Args:
        code_version: from `lake.code.code_version`.
        inputs: version of each table and raw file that is read.
        settings: plain JSON values; the order of keys does not matter.
        contract_hash: from `contract_hash`; empty for outputs without a contract.

    Raises:
        ValueError: settings hold something that is not plain JSON.
    """
    return short_hash(canonical_json([code_version, dict(inputs), dict(settings), contract_hash]))


def contract_hash(contract: type[Contract], *, num_shards: int = 1) -> str:
    """The hash of what a contract demands: columns, dtypes, rules, key, order, shards, and how they are written."""
    return short_hash(
        canonical_json(
            {
                "columns": contract_columns(contract),
                "constraints": {name: _constraints(column) for name, column in contract.columns().items()},
                "rules": _rules(contract),
                "key": contract.key,
                "order": contract.order,
                "shards": num_shards if contract.sharded else 1,
                "writing": WRITING,
            }
        )
    )


def _constraints(column: dy.Column) -> dict[str, str]:
    """A column's own constraints (nullable, min, regex, check, ...) as text, those left at None out."""
    return {
        name: _constraint_text(value)
        for name, value in sorted(vars(column).items())
        if value is not None and not name.startswith("_") and name not in _DOCUMENTATION
    }


def _constraint_text(value: Any) -> str:
    if isinstance(value, None | bool | int | float | str | date | datetime | time | timedelta):
        return repr(value)
    if isinstance(value, dy.Column):
        return canonical_json([type(value).__name__, _constraints(value)])
    if isinstance(value, Mapping):
        return canonical_json({str(key): _constraint_text(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        texts = [_constraint_text(inner) for inner in value]
        return canonical_json(sorted(texts) if isinstance(value, set | frozenset) else texts)
    if callable(value) and not isinstance(value, type):
        return function_code(value)
    return str(value)  # a dtype: Polars spells it out


def _rules(contract: type[Contract]) -> dict[str, str]:
    """The code of every rule the contract or one of its bases declares, by name."""
    rules: dict[str, str] = {}
    for base in reversed(contract.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, _RULE):
                rules[name] = function_code(value.validation_fn)
    return rules


_RULE = type(dy.rule()(lambda cls: cls))
