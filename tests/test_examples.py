"""Commands of every `--help`, the README and the docs: their flags exist, and datasets that they name are made."""

import re
import runpy
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from documented import PAGES, ROOT

from geomob_dask import cli, job
from geomob_dask.outputs.validation import Against
from geomob_dask.sources.opportunity_insights import ATLAS, ATLAS_YEAR
from geomob_dask.sources.years import dataset_year, years_of

JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))
_COMMAND = re.compile(r"python jobs/(?P<name>\w+)\.py(?P<arguments>.*)")


def app_of(name: str) -> Any:
    """Return the command line of a job, without running it."""
    made: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "main", made.append)
        patch.setattr(job, "main", lambda *given: made.append(job.product_job(*given)))
        runpy.run_path(str(ROOT / "jobs" / f"{name}.py"), run_name="__main__")
    (app,) = made
    return app


APPS = {name: app_of(name) for name in JOBS}


def commands_in(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the jobs that a text runs and their arguments; brackets are around what may be left out."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for code in re.findall(r"`([^`]*)`", line) or [line]:
            match = _COMMAND.search(code)
            if match is not None and "…" not in code:
                arguments = shlex.split(re.sub(r"[\[\]]", "", match["arguments"]), comments=True)
                found.append((match["name"], tuple(arguments)))
    return found


HELP = [command for app in APPS.values() for command in commands_in(app.info.epilog)]
DOCS = [command for page in PAGES for command in commands_in(page.read_text(encoding="utf-8"))]


def parsed(name: str, arguments: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """Return the command and the values of its flags, as typer parses them; nothing is run."""
    command = cli.command_line(APPS[name])
    context = command.make_context(name, list(arguments))
    if hasattr(command, "commands"):
        sub, chosen, rest = command.resolve_command(context, list(arguments))
        context = chosen.make_context(sub, rest, parent=context)
        return f"{name} {sub}".strip(), dict(context.params)
    if name == "submit" and (context.params["words"] or [""])[0] in JOBS:
        # What it submits is an example of that job.
        job, *rest = context.params["words"]
        return parsed(job, tuple(word for word in rest if word not in ("--follow", "--dry-run")))
    return name, dict(context.params)


@pytest.mark.parametrize(("name", "arguments"), [*HELP, *DOCS], ids=lambda value: " ".join(value)[:60] if value else "")
def test_every_flag_of_an_example_exists(name: str, arguments: tuple[str, ...]) -> None:
    parsed(name, arguments)


def flags_of(name: str) -> set[str]:
    """Return all flags of a job and of its commands."""
    command = cli.command_line(APPS[name])
    every = [command, *getattr(command, "commands", {}).values()]
    return {
        flag
        for one in every
        for parameter in [*one.params, one.get_help_option(one.make_context(name, [], resilient_parsing=True))]
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


# Flags of other programs that pages mention.
FOREIGN = {
    "--dashboard-prefix",
    "--lifetime",
    "--death-timeout",
    "--export=ALL",
    "--requeue",
    "--test-only",
    "--name=geomob-…",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_flag_that_a_page_mentions_exists(page: Any) -> None:
    text = page.read_text(encoding="utf-8")
    known = {flag for name in JOBS for flag in flags_of(name)}
    for script in set(re.findall(r"benchmarks/\w+\.py", text)):
        known |= set(re.findall(r"--[a-z][\w-]*", (ROOT / script).read_text(encoding="utf-8")))
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`\n]+)`", text):
        if re.search(r"benchmarks/|pytest|pip |ssh |sbatch|scancel", code):
            continue
        job = re.search(r"\b(\w+)\.py\b", code)
        # What `submit` submits has flags of its own.
        exist = flags_of(job[1]) if job and job[1] in JOBS and job[1] != "submit" else known
        for flag in re.findall(r"(?<![\w-])--[a-z][\w=…-]*", code):
            assert flag in exist or flag in FOREIGN, f"{page.name}: `{code}`: no flag {flag}"


def test_every_job_shows_examples_of_its_own() -> None:
    assert {name for name, _ in HELP} == set(JOBS)
    for name, app in APPS.items():
        assert {job for job, _ in commands_in(app.info.epilog)} == {name}


def made_by(command: str, values: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the datasets and years that a command brings into the store."""
    if command in ("ingest measures", "ingest brackets") or command == "ingest atlas":
        yield values["dataset"], int(values["year"])
    elif command == "ingest join":
        yield from ((values["name"], year) for year in years_of(str(values["year"])))


def read_by(values: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the datasets and years that flags name as NAME:YEAR."""
    for text in values.get("against") or ():
        against = Against.of(text)
        yield against.dataset, against.year
    for flag in ("apply", "measures", "outcomes"):
        for text in (values.get(flag) or "").split(","):
            if text:
                yield dataset_year(text, f"--{flag}")


def test_datasets_that_examples_name_are_made_by_examples() -> None:
    every = [parsed(name, arguments) for name, arguments in [*HELP, *DOCS]]
    made = {one for command, values in every for one in made_by(command, values)}
    read = {one for _, values in every for one in read_by(values)}
    assert (ATLAS, ATLAS_YEAR) in made & read
    assert read <= made


def test_brackets_of_help_are_shown() -> None:
    """Help is rich markup, in which [default: all] would be a style and vanish."""
    for name, app in APPS.items():
        command = cli.command_line(app)
        for one in (command, *getattr(command, "commands", {}).values()):
            for parameter in one.params:
                lost = re.search(r"(?<!\\)\[[a-z]", getattr(parameter, "help", None) or "")
                assert lost is None, (name, one.name, parameter.name)
