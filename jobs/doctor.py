"""Check whether jobs will run on a cluster and a store; `python jobs/doctor.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.clusters import effective
from geomob_dask.doctor.examination import examine
from geomob_dask.doctor.findings import is_wrong
from geomob_dask.errors import RunError
from geomob_dask.outputs import doctor
from geomob_dask.settings import load_settings

app = cli.application(
    "Check a cluster and a store before a long run: versions, clocks, memory, and what commits rely on.",
    """
    python jobs/doctor.py
    python jobs/doctor.py --cluster local --store s3://bucket/prefix
    python jobs/doctor.py --cluster serial --store s3://bucket/prefix
    python jobs/doctor.py --cluster address --export doctor.json --verbose
    """,
)


@app.command()
def check(
    timeout: Annotated[
        float, typer.Option(help="Seconds that a machine or the store may take to answer a question.", min=1.0)
    ] = 20.0,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for every machine, also of the same finding.")] = (
        False
    ),
    export: Annotated[str | None, typer.Option("--export", help="Also write the findings (.json, .csv).")] = None,
    dry_run: cli.EffectiveOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Check a cluster and a store; exit 1 if something is wrong.

    Every check is a line: ok, warning, wrong or skipped. A few small objects are written to the store and removed.
    """
    settings = load_settings(config, store=store, cluster=cluster)
    if export:
        doctor.check_export(export)
    if dry_run:
        return cli.say(effective(settings))
    findings = examine(settings, timeout, lambda found: cli.say(doctor.lines_of(found, verbose=verbose)))
    if export:
        doctor.write(findings, export)
    if is_wrong(findings):
        raise RunError(f"jobs may fail: {doctor.summary(findings)}")
    return cli.say([doctor.summary(findings)])


if __name__ == "__main__":
    cli.main(app)
