"""Versioned Parquet tables: publish, read, fingerprint, catalogue.

`Lake` is the door. A version never changes once it is published, one small manifest file names the current one, and the
same input gives the same bytes. What does not belong here: Dagster, torch, and any knowledge of a particular table.
"""

from lake.code import code_version
from lake.files import sha256_file, write_atomic
from lake.fingerprints import contract_hash, fingerprint, short_hash
from lake.ids import id_share, id_share_sql, id_shares
from lake.manifest import Manifest
from lake.memory import Measurement, measured
from lake.publish import ByShard, PublishError, Query
from lake.raw import file_digest, raw_version
from lake.store import Lake, TableMissing, default_home

__all__ = [
    "ByShard",
    "Lake",
    "Manifest",
    "Measurement",
    "PublishError",
    "Query",
    "TableMissing",
    "code_version",
    "contract_hash",
    "default_home",
    "file_digest",
    "fingerprint",
    "id_share",
    "id_share_sql",
    "id_shares",
    "measured",
    "raw_version",
    "sha256_file",
    "short_hash",
    "write_atomic",
]
