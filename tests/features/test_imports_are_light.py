import subprocess
import sys
from pathlib import Path

import pipelines.features

HEAVY = {"PIL", "cv2", "dagster", "open_clip", "pydicom", "timm", "tokenizers", "torch", "transformers"}


def test_importing_every_feature_module_imports_nothing_heavy():
    folder = Path(pipelines.features.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    lines = [f"import pipelines.features.{name}" for name in names]
    lines += ["import sys", "print(*sorted({name.split('.')[0] for name in sys.modules}))"]
    found = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=folder.parents[1], capture_output=True, text=True, check=True
    )
    loaded = set(found.stdout.split())
    assert "polars" in loaded
    assert not loaded & HEAVY
