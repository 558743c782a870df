"""Verify, clean and list a store; `python jobs/store.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

import json
from functools import partial
from typing import Annotated

import typer
from rich.progress import track

from geomob_dask import cli
from geomob_dask.activity import doing
from geomob_dask.clusters import effective
from geomob_dask.errors import RunError
from geomob_dask.messages import counted
from geomob_dask.outputs.provenance_files import provenance_of
from geomob_dask.outputs.provenance_words import difference_lines, lines
from geomob_dask.outputs.store import listing_lines, unreferenced_lines
from geomob_dask.runs import verify as runs
from geomob_dask.settings import load_settings
from geomob_dask.sources.durations import seconds_of
from geomob_dask.store import Store, cleaning
from geomob_dask.store.listing import listing

app = cli.application(
    "List, verify and clean a store.",
    """
    python jobs/store.py list results --store s3://bucket/prefix
    python jobs/store.py verify --cluster local
    python jobs/store.py verify results/exposure --cluster serial
    python jobs/store.py clean --dry-run
    python jobs/store.py clean --older-than 2d --history
    python jobs/store.py provenance index.csv
    python jobs/store.py provenance index.parquet last_year.parquet
    """,
)

PrefixArgument = Annotated[str, typer.Argument(help="Only collections below this one, such as results/exposure.")]


@app.command("verify")
def verify_store(
    prefix: PrefixArgument = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the collections that would be read.")] = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compare every part with its snapshot, and recorded inputs with the current ones; exit 1 if any is damaged."""
    settings = load_settings(config, store=store, cluster=cluster)
    where, prefix = Store.of(settings), prefix.strip("/")
    if dry_run:
        table = listing(where, prefix)
        return cli.say([*listing_lines(table[table["kind"] != "cubes"], prefix), *effective(settings)])
    with cli.cluster(settings) as client:
        result = runs.verify(where, client, cli.console, prefix=prefix)
    cli.say(result.lines())
    if result.damage:
        raise RunError(
            f"store {where.url}: {counted(len(result.damage), 'damaged object')}, the first {result.damage[0].line}"
        )
    return None


@app.command()
def clean(
    older_than: Annotated[
        str, typer.Option(help="Keep younger objects; more than the duration of the longest job. 90s, 30m, 1h, 2d.")
    ] = "1h",
    history: Annotated[
        bool, typer.Option("--history", help="Also remove superseded snapshots and the parts that only they list.")
    ] = False,
    uncommitted: Annotated[
        bool, typer.Option("--uncommitted", help="Also remove outputs that an interrupted backfill has not committed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed.")] = False,
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Remove what no snapshot refers to: parts of killed writers, unfinished objects, receipts of no use."""
    seconds = seconds_of(older_than, "--older-than")
    objects = Store.of(load_settings(config, store=store)).objects
    unreferenced = cleaning.unreferenced(objects, older_than=seconds, history=history, uncommitted=uncommitted)
    cli.say(unreferenced_lines(unreferenced))
    if not dry_run:
        removed = cleaning.remove(
            objects, unreferenced, progress=partial(track, description="removing", console=cli.console)
        )
        cli.say([f"removed {counted(removed, 'object')}"])


@app.command("list")
def list_store(prefix: PrefixArgument = "", store: cli.StoreOption = None, config: cli.ConfigOption = None) -> None:
    """List collections and cubes, with their parts, rows, commits, bytes and jobs."""
    where, prefix = Store.of(load_settings(config, store=store)), prefix.strip("/")
    cli.say(listing_lines(listing(where, prefix), prefix))


@app.command()
def provenance(
    file: Annotated[str, typer.Argument(help="A table or page that a job has written.")],
    other: Annotated[str | None, typer.Argument(help="Another one: only differences are printed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Print what a file was made from: results, choices, inputs with checksums, versions; or how two files differ."""
    files = [one for one in (file, other) if one is not None]
    if as_json:
        # Nothing but JSON is printed, however long it takes.
        with doing(list):
            return cli.say([json.dumps(provenance_of(one), indent=1) for one in files])
    found = [provenance_of(one) for one in files]
    return cli.say(difference_lines(*found) if len(found) == 2 else lines(found[0]))


if __name__ == "__main__":
    cli.main(app)
