"""Columns that the event tables of MIMIC-III and MIMIC-IV share; what later layers share is in `fields`."""

import dataframely as dy


def number(description: str) -> dy.Float64:
    """Return a measured or ordered quantity, null where none was entered."""
    return dy.Float64(nullable=True, description=description)


def whole(description: str) -> dy.Int64:
    """Return an identifier within a clinical system, null where there is none."""
    return dy.Int64(nullable=True, description=description)


def code(description: str) -> dy.Int16:
    """Return a small code or flag, null where none was entered."""
    return dy.Int16(nullable=True, description=description)
