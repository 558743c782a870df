"""Files into the store; `python jobs/ingest.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

import tempfile
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from geomob_dask import cli
from geomob_dask.activity import doing
from geomob_dask.clusters import effective
from geomob_dask.errors import InputError
from geomob_dask.job import product_command
from geomob_dask.messages import listed
from geomob_dask.outputs.csv_text import check_csv_text
from geomob_dask.outputs.ingest import export_collection, ingested_lines
from geomob_dask.outputs.join import JoinOutputs
from geomob_dask.outputs.tables import SUFFIXES, TABLES, check_file
from geomob_dask.runs import places
from geomob_dask.runs.landing import Ingested, ingest, land_all
from geomob_dask.runs.sources import SOURCES, Source
from geomob_dask.settings import load_settings
from geomob_dask.sources import tiger
from geomob_dask.sources.sample import write_sample
from geomob_dask.sources.sample_survey import write_survey
from geomob_dask.store import Store

app = cli.application(
    "Bring tract polygons and measures into the store, partitioned by state.",
    """
    python jobs/ingest.py sample
    python jobs/ingest.py tracts cb_2018_39_tract_500k.zip cb_2018_18_tract_500k.zip --vintage 2010
    python jobs/ingest.py measures measures.csv.gz --dataset acs --year 2018 --vintage 2010
    python jobs/ingest.py brackets B19001_2023_by_cbsa_json.zip --dataset income --year 2023 --vintage 2020
    python jobs/ingest.py tracts tracts.parquet --vintage 2020 --store s3://bucket/prefix
    python jobs/ingest.py acs --year 2023 --table B19001 --states OH
    python jobs/ingest.py acs --year 2018 --file ACSDT5Y2018.B02001.zip
    python jobs/ingest.py acs --year 2020-2024 --table B01003,B19113
    python jobs/ingest.py acs --year 2020-2024 --file "acs5/B*.csv.gz"
    python jobs/ingest.py join acs5_b01003 acs5_b19113 --as acs5 --years 2020-2024
    python jobs/ingest.py regions county-to-cbsa.json --name cbsa --vintage 2020
    python jobs/ingest.py tiger --year 2018 --states OH,IN --folder polygons
    python jobs/ingest.py places tl_2019_39_place.zip tl_2019_53_place.zip --vintage 2010
    python jobs/ingest.py zones online_data_tables-8.xls --county-zones cz_county.csv --counties counties.geojson
    python jobs/ingest.py atlas opportunity_atlas_tracts.csv.gz
    """,
)

_COMMON: dict[str, tuple[Any, Any]] = {
    "verbose": (cli.VerboseOption, False),
    "dry_run": (cli.CheckOnlyOption, False),
    "store": (cli.StoreOption, None),
    "cluster": (cli.HereOption, None),
    "config": (cli.ConfigOption, None),
}


def _add(source: Source) -> None:
    """Add the command of a source of the catalog."""

    def run(
        values: Mapping[str, Any],
        *,
        verbose: bool,
        dry_run: bool,
        store: str | None,
        cluster: str | None,
        config: str | None,
        export: str | None = None,
        csv_text: str = "safe",
    ) -> None:
        where = Store.of(load_settings(config, store=store, cluster=cluster))
        check_csv_text(csv_text)
        if export:
            check_file("--export", export, SUFFIXES if source.has_polygons else TABLES)
        planned = source.planned(values, where.objects) if dry_run else None
        if planned is not None:
            return cli.say(planned)
        with doing("reading"):
            tables = source.read(values, where.objects)
        if export and len(tables) > 1:
            found = listed([one.collection for one in tables])
            raise InputError(f"--export {export}: one file, found the collections {found}; expected one table and year")
        with doing("comparing" if dry_run else "writing to the store"):
            every = land_all(where, tables, dry_run=dry_run)
        for done in every:
            cli.say(ingested_lines(done, where, dry_run=dry_run, verbose=verbose))
        if export and not dry_run:
            export_collection(where, every[0], export, csv_text)
        return None

    files = {"export": (cli.export_option(source.has_polygons), None), "csv_text": (cli.CsvTextOption, "safe")}
    app.command(source.name, help=source.title)(
        cli.command(source.options, run, **_COMMON | (files if source.by_state else {}))
    )


for source in SOURCES.values():
    _add(source)


def _places(
    values: Mapping[str, Any],
    *,
    verbose: bool,
    dry_run: bool,
    store: str | None,
    cluster: str | None,
    config: str | None,
) -> None:
    settings = load_settings(config, store=store, cluster=cluster)
    where, options = Store.of(settings), places.Options.of(**values)
    if dry_run:
        cli.say(effective(settings))
        with doing("reading"):
            return cli.say(places.planned_areas(where, options))
    with cli.cluster(settings) as client:
        done = places.ingest_areas(where, options, client, cli.console)
    return cli.say(ingested_lines(done, where, verbose=verbose))


app.command("places", help="Make a table of regions from polygons, by area, where no crosswalk by people is at hand.")(
    cli.command(places.Options, _places, **_COMMON | {"cluster": (cli.ClusterOption, None)})
)


def _tiger(
    values: Mapping[str, Any],
    *,
    verbose: bool,
    dry_run: bool,
    store: str | None,
    cluster: str | None,
    config: str | None,
) -> None:
    where, options = Store.of(load_settings(config, store=store, cluster=cluster)), tiger.Options.of(**values)
    with doing("fetching"):
        cli.say(tiger.plan(options) if dry_run else tiger.fetch(options, where.objects))


app.command("tiger", help="Fetch polygons of tracts or places from the Census Bureau; the store keeps a copy.")(
    cli.command(tiger.Options, _tiger, **_COMMON)
)


app.command("join")(product_command("join", JoinOutputs()))


@app.command()
def sample(
    margins: Annotated[
        bool, typer.Option(help="Also dataset survey: the same measures with their margins of error.")
    ] = False,
    verbose: cli.VerboseOption = False,
    dry_run: cli.CheckOnlyOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest the made-up sample country: vintage sample, dataset sample, year 2020."""
    where = Store.of(load_settings(config, store=store, cluster=cluster))
    with tempfile.TemporaryDirectory() as folder:
        for done in _sample(where, folder, dry_run, margins):
            cli.say(ingested_lines(done, where, dry_run=dry_run, verbose=verbose))


def _sample(store: Store, folder: str, dry_run: bool, margins: bool) -> list[Ingested]:
    paths = write_sample(folder)
    files = {"sample": paths.measures}
    if margins:
        files["survey"] = write_survey(folder)
    return [
        ingest(store, "tracts", files=[str(paths.tracts)], vintage="sample", dry_run=dry_run),
        *(
            ingest(store, "measures", file=str(file), dataset=name, year=2020, vintage="sample", dry_run=dry_run)
            for name, file in files.items()
        ),
    ]


if __name__ == "__main__":
    cli.main(app)
