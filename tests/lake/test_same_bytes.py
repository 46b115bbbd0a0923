"""Same input, same bytes: whatever the threads and the memory, and whatever the order the rows come in."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
from pathlib import Path
import dataframely as dy
import numpy as np
import polars as pl
from data_contracts.base import Contract
from lake import Lake

class Events(Contract):
    table, layer = "events", "tables"
    subject_id = dy.Int64()
    value = dy.Float64(nullable=True)
    unit = dy.String(nullable=True)

class Sharded(Events):
    table, sharded = "sharded", True

home, threads, memory_limit, seed = sys.argv[1:]
n = 260_000  # three row groups, many ties and exact duplicates
i = np.arange(n)
frame = pl.DataFrame({"subject_id": i * 7919 % 997, "value": i * 31 % 16 / 8, "unit": i % 5}).with_columns(
    pl.col("unit").replace_strict({0: "mmHg", 1: "C", 2: "", 3: None, 4: "kg"}),
    value=pl.when(pl.col("value") == 0).then(pl.when(pl.col("subject_id") % 2 == 0).then(-0.0)).otherwise("value"),
)
frame = frame.sample(fraction=1.0, shuffle=True, seed=int(seed))
lake = Lake(Path(home), threads=int(threads), memory_limit=memory_limit, num_shards=5)
made = [lake.publish(c, frame.lazy(), code_version="", inputs={}, settings={}) for c in (Events, Sharded)]
print(json.dumps([[m.version, m.rows, m.num_duplicate_rows, [f.sha256 for f in m.files]] for m in made]))
"""


def test_bytes_do_not_depend_on_threads_memory_or_the_order_of_rows(tmp_path: Path):
    results = []
    for number, (threads, memory_limit) in enumerate([(1, "300MB"), (2, "1GB"), (4, "2GB")]):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": str(threads)}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / str(number)), str(threads), memory_limit, str(number)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    assert results[0] == results[1] == results[2]
    (_, rows, duplicates, _), (_, sharded_rows, sharded_duplicates, files) = results[0]
    assert rows == sharded_rows == 260_000
    assert duplicates == sharded_duplicates > 0
    assert len(set(files)) == 5
