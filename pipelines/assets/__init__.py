"""Glue between Dagster and the code that does the work: one module per layer, no body longer than about 25 lines.

What belongs here: which tables a step reads, which settings reach it, which function makes it. What does not: how
anything is computed (`sources/`, `features/`, `sql/`, `medcsp_model`) or stored (`lake`).
"""
