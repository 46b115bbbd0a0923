"""20 million synthetic chartevents rows, from csv.gz to hourly features. Usage: series_20m [rows].

Prints one JSON object: `cpu_seconds` (user and system) and `peak_mb` of the one process that does it all.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.raw_to_features import in_own_process
from pipelines.synthetic.chartevents_stream import write_chartevents


def main() -> None:
    num_rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 20_000_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "mimic-iv"
        write_chartevents(root, num_rows=num_rows, seed=1)
        print(json.dumps(in_own_process(root, "mimic_iv__chartevents")))


if __name__ == "__main__":
    main()
