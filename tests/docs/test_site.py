"""The site is built without a warning, asks nothing of other servers, and shows the notebooks as they ran."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from documented import ROOT

import geomob_dask as gd

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, from the sample country."""
    folder = tmp_path_factory.mktemp("site")
    environment = {name: value for name, value in os.environ.items() if name != "GEOMOB_DATA"}
    environment |= {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
    )
    told = built.stdout + built.stderr
    assert built.returncode == 0, told[-4000:]
    assert not [line for line in told.splitlines() if line.startswith(("WARNING", "ERROR"))]
    return folder


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_nothing_is_asked_of_another_server(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]+)\"", text_of(page))
        loaded += re.findall(r"<link[^>]*rel=\"(?:stylesheet|preconnect|icon)\"[^>]*href=\"([^\"]+)\"", text_of(page))
        assert not [address for address in loaded if re.match(r"(?:https?:)?//", address)], page


def test_the_notebooks_ran_in_the_site_and_are_stored_without_output(site: Path) -> None:
    assert len(NOTEBOOKS) == 3
    for file in NOTEBOOKS:
        cells = [cell for cell in nbformat.read(file, 4).cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in cells), file.name
        page = text_of(site / "notebooks" / f"{file.stem}.html")
        assert "<iframe srcdoc=" in page
        assert "/geomob" in page
        assert "sample country" in page
        assert "Traceback" not in page
    assert "263 tracts with a polygon" in text_of(site / "notebooks" / "index_of_a_state.html")


def test_every_public_name_is_documented(site: Path) -> None:
    pages = "".join(text_of(page) for page in (site / "api").glob("*.html"))
    for name in gd.__all__:
        assert re.search(rf'id="geomob_dask\.[\w.]*\b{name}"', pages), name


def test_tests_that_pages_name_exist() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for name in re.findall(r"`(tests/[\w/.]+)`", text_of(page)):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("index_of_a_state", r"Ohio: 3,039 tracts with a polygon, 3,168 with measures"),
        ("mixing_of_a_metro", r"Columbus, Ohio: 514 tracts, 855,292 households"),
    ],
)
def test_the_notebooks_run_on_real_tables(
    name: str, found: str, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMOB_DATA", str(real_data.resolve()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", 4)
    nbclient.NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
    told = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert re.search(found, told), told
