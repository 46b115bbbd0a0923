"""The model, its losses, the trainer and the evaluation. Stands alone: no dagster, polars, duckdb or pipelines."""
