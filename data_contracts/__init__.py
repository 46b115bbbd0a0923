"""The columns of every published table: names, dtypes, units, keys and row rules; one class per table.

One module per layer. What belongs here: facts about single rows and keys. What does not: rules over several tables
(they are SQL in `sql/checks/`) and how a table is made (`sql/`, `pipelines/`).
"""
