"""The sections of kinds kubernetes and gateway in the docs and in cluster.yaml are ones that are taken."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from geomob_dask.sections import ClusterSection

ROOT = Path(__file__).parents[2]


def examples() -> list[dict]:
    page = (ROOT / "docs" / "clusters.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    # In cluster.yaml they are comments.
    lines = (ROOT / "cluster.yaml").read_text().splitlines()
    blocks.append("clusters:\n" + "\n".join(line.replace("# ", "", 1) for line in lines if line.startswith("  # ")))
    found = [one for block in blocks for one in (yaml.safe_load(block).get("clusters") or {}).values()]
    return [one for one in found if isinstance(one, dict) and one.get("kind") in ("kubernetes", "gateway")]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example["kind"])
def test_an_example_is_a_section_that_is_taken(example):
    assert TypeAdapter(ClusterSection).validate_python(example).kind == example["kind"]


def test_there_are_examples_of_each_kind_in_both_places():
    assert sorted(example["kind"] for example in examples()) == ["gateway", "gateway", "kubernetes", "kubernetes"]
