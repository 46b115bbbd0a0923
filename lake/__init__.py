"""Versioned Parquet tables: publish, read, fingerprint, catalogue."""
