import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data():
    """The folder of open test data; tests that need it skip where there is none."""
    root = os.environ.get("MEDCSP_TEST_DATA")
    if not root:
        pytest.skip("MEDCSP_TEST_DATA is not set: it names the folder of open test data")
    return Path(root)
