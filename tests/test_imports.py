"""Imports flow one way: a module imports from its own folder and from folders to the left of it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "geomob_dask"
ORDER = (
    (
        "errors",
        "ending",
        "messages",
        "activity",
        "names",
        "yaml_text",
        "checked",
        "sections",
        "settings",
        "definition",
        "options",
    ),
    ("sources",),
    ("store",),
    ("graph",),
    ("transforms",),
    ("metrics",),
    ("models",),
    ("frames",),
    ("products",),
    ("runs", "clusters", "submissions"),
    ("doctor",),
    ("outputs",),
    ("explore",),
    ("cli", "job"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# Kernels know arrays: neither files nor tables of sources.
KERNELS = ("graph", "transforms", "metrics", "models")
# A model file is a .zip, and there is one reader of those.
READERS = ("models/model_archive.py",)
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in RANK)


def folder_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the folders of the package that a module imports, those for type checking included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "geomob_dask":
            pieces = node.module.split(".")
            found |= {pieces[1]} if len(pieces) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("geomob_dask.")}
    return found & RANK.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_flow_one_way(path):
    own = folder_of(path)
    if own not in RANK:
        return
    wrong = sorted(name for name in imported(path) if RANK[name] > RANK[own])
    assert not wrong, f"{own} is left of {', '.join(wrong)}"
    if own in KERNELS:
        allowed = {"sources"} if path.relative_to(PACKAGE).as_posix() in READERS else set()
        assert not imported(path) & ({"sources", "store", "settings", "definition", "yaml_text"} - allowed)


def test_every_folder_has_its_place():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= RANK.keys()
