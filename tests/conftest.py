"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real tables; tests on it are skipped by name where it is not set."""
    folder = os.environ.get("GEOMOB_DATA")
    if not folder:
        pytest.skip("GEOMOB_DATA is not set: no real data")
    return Path(folder)
