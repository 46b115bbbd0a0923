"""Reads the fourteen observations of CheXpert's label files, which print 1, 1.0, 0.0 and -1.0 alike."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from data_contracts.tables.observations import Observations
from pipelines.sources.csv_files import scan_csv

OBSERVATIONS = tuple(Observations.columns())
TITLES = {name: name.replace("_", " ") for name in OBSERVATIONS}
"""Observation to its column in the files, letters in any case."""
_OLD_NAMES = {"lung_opacity": "Airspace Opacity"}


def scan_labels(path: Path, *, columns: Mapping[str, str], table: str, old_names: bool = False) -> pl.LazyFrame:
    """Return a label file as text: the given columns and the observations, whole numbers without their fraction.

    Args:
        path: the CSV file.
        columns: our name to the file's column, for what stands before the observations.
        table: the table that is read, for messages.
        old_names: True where the file says Airspace Opacity for Lung Opacity.

    Raises:
        SourceError: columns are missing, or the file is broken.
    """
    frame = scan_csv(path, columns={**columns, **TITLES, **(_OLD_NAMES if old_names else {})}, table=table)
    return frame.with_columns(pl.col(name).str.replace(r"\.0*$", "") for name in OBSERVATIONS)
