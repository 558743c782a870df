"""What all jobs share: options, errors as exit codes, tables to files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import distributed
import typer
from rich.console import Console

from geomob_dask.cluster import connect
from geomob_dask.errors import GeomobError, RunError
from geomob_dask.settings import Settings

StoreOption = Annotated[
    str | None, typer.Option("--store", help="A folder or s3://bucket/prefix. [default: GEOMOB_STORE, cluster.yaml]")
]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="A section of cluster.yaml. [default: GEOMOB_CLUSTER, local]")
]
HereOption = Annotated[
    str | None, typer.Option("--cluster", help="As elsewhere, but not used: files are read where the command runs.")
]
ConfigOption = Annotated[str | None, typer.Option("--config", help="The cluster file. [default: ./cluster.yaml]")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan, compute and write nothing.")]
ExportOption = Annotated[
    str | None, typer.Option("--export", help="Also write the result as one table: .csv, .parquet, .gpkg or .geojson.")
]
StatesOption = Annotated[str | None, typer.Option("--states", help="Codes or letters, such as 18,39 or IN,OH.")]

console = Console(highlight=False, soft_wrap=True)


def application(help_text: str, examples: str) -> typer.Typer:
    """Return an empty command line with a help text and examples below it."""
    # A single line break joins in the help's layout: every example stands in a paragraph of its own.
    epilog = "Examples:\n\n" + "\n\n".join(line.strip() for line in examples.strip().splitlines())
    return typer.Typer(
        add_completion=False, help=help_text, epilog=epilog, no_args_is_help=True, pretty_exceptions_enable=False
    )


def main(app: typer.Typer) -> None:
    """Run a job; exit with 0, 1 (the run failed) or 2 (bad usage or input), saying why on standard error."""
    if len(app.registered_commands) == 1:
        # Typer shows a lone command's own help and examples only.
        app.registered_commands[0].epilog = app.info.epilog
    try:
        app()
    except GeomobError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted; the store is as it was before", RunError.exit_code)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def cluster(settings: Settings) -> Iterator[distributed.Client | None]:
    """Yield a client, after saying where the dashboard is."""
    with connect(settings) as client:
        if client is None:
            console.print("cluster: none, every task in this process")
        else:
            workers = client.scheduler_info(n_workers=-1)["workers"]
            console.print(f"cluster: {settings.cluster}, {len(workers)} workers; dashboard: {client.dashboard_link}")
        yield client


def say(lines: list[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        console.print(line, markup=False)
