"""Every page that a job writes says where its numbers come from, and the command in its footer makes it again."""

import html
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from browser_pages.conftest import JOBS, PAGES


def footer_of(pages: Path, name: str) -> str:
    page = (pages / f"{name}.html").read_text("utf-8")
    (found,) = re.findall(r'<footer class="provenance">.*?</footer>', page, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("name", PAGES)
def test_a_footer_has_choices_inputs_versions_and_the_day(name: str, pages: Path) -> None:
    footer = footer_of(pages, name)
    for text in (
        r"Where these numbers come from",
        r"Computed by geomob-dask \d",
        r"Written by geomob-dask \d[^<]* for [^<]*--(map|report|page)",
        r"with their SHA-256</h3>\s*<table><tbody>\s*<tr><th scope=\"row\">(measures|zones|results)/",
        r"<h3>Choices of ",
        r"<h3>Versions of packages ",
        r'<time datetime="\d{4}-\d\d-\d\d">',
        r'<script type="application/json" id="provenance">',
    ):
        assert re.search(text, footer), text


@pytest.mark.parametrize("name", PAGES)
def test_the_command_of_a_footer_asks_for_what_there_is(
    name: str, pages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = re.findall(r"<code>(.*?)</code>", footer_of(pages, name))
    python, script, *arguments = shlex.split(html.unescape(command))
    assert (python, script.startswith("jobs/"), arguments.count("FILE")) == ("python", True, 1)
    again = pages / f"{name}-again.html"
    monkeypatch.chdir(pages)
    monkeypatch.setenv("GEOMOB_STORE", str(pages / "store"))
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setattr(sys, "argv", [script, *(str(again) if one == "FILE" else one for one in arguments)])
    ended = 0
    try:
        runpy.run_path(str(JOBS / Path(script).name), run_name="__main__")
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == 0, capsys.readouterr().err
    day = re.compile(r"<time.*?</time>|(?<=Result stored )\d{4}-\d\d-\d\d")
    pair = [day.sub("", (pages / f"{one}.html").read_text("utf-8")) for one in (name, again.stem)]
    assert pair[0] == pair[1], "the same page, but for the day"
    assert "1970-01-01" in again.read_text("utf-8")
    assert again.read_text("utf-8").count("Result stored 1970-01-01") == pair[1].count("Result stored")
