"""Every page that a job writes: opened at two widths in a browser, it fits, says nothing of errors and asks nobody."""

from pathlib import Path
from typing import Any

import pytest
from browser import Visit, overflow, screenshot
from browser_pages.conftest import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window(name: str, pages: Path, visit: Visit, seen: dict[str, Any], screenshots: Path) -> None:
    page = visit(pages / f"{name}.html", seen)
    screenshot(page, screenshots, name)
    assert overflow(page) == []
