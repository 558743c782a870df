"""Files into the store; `python jobs/ingest.py --help` shows examples."""

import tempfile
from typing import Annotated, Literal

import typer

from geomob_dask import cli
from geomob_dask.outputs.exposure_ingest import regions_lines
from geomob_dask.outputs.ingest import export_collection, ingested_lines
from geomob_dask.outputs.tables import check_export
from geomob_dask.outputs.zones_ingest import zones_lines
from geomob_dask.runs import acs as acs_run
from geomob_dask.runs import ingest
from geomob_dask.runs import join as join_run
from geomob_dask.runs.income import ingest_brackets
from geomob_dask.runs.regions import ingest_areas, ingest_regions
from geomob_dask.runs.study import ingest_atlas, ingest_zones
from geomob_dask.runs.tiger import Request as TigerRequest
from geomob_dask.runs.tiger import fetch_polygons
from geomob_dask.settings import load_settings
from geomob_dask.sources.download import Downloader, Politeness
from geomob_dask.sources.opportunity_insights import ATLAS, ATLAS_VINTAGE, ATLAS_YEAR, ZONE_VINTAGE
from geomob_dask.sources.regions import RegionColumns
from geomob_dask.sources.sample import write_sample
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.tiger import BASE_URL
from geomob_dask.sources.years import years_of
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
    python jobs/ingest.py join acs5_b01003 acs5_b19113 --as acs5 --years 2020-2024
    python jobs/ingest.py regions county-to-cbsa.json --name cbsa --vintage 2020
    python jobs/ingest.py tiger --year 2018 --states OH,IN --folder polygons
    python jobs/ingest.py places tl_2019_39_place.zip tl_2019_53_place.zip --vintage 2010
    python jobs/ingest.py zones online_data_tables-8.xls --county-zones cz_county.csv --counties counties.geojson
    python jobs/ingest.py atlas opportunity_atlas_tracts.csv.gz
    """,
)

VintageOption = Annotated[str, typer.Option(help="Name of the tract vintage, such as 2010, 2020 or 2022.")]


@app.command()
def tracts(
    files: Annotated[list[str], typer.Argument(help="GeoParquet, GeoPackage, shapefile or GeoJSON, zipped too.")],
    vintage: VintageOption,
    crs: Annotated[str | None, typer.Option(help="Coordinate system of files that do not state theirs.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a file that has several.")] = None,
    empty: Annotated[str, typer.Option(help="Rows without a polygon: refuse, or leave-out.")] = "refuse",
    export: cli.ExportOption = None,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest tract polygons: checked, repaired where that is safe, one file a state."""
    where = Store(load_settings(config, store=store, cluster=cluster).store)
    if export:
        check_export(export)
    done = ingest.ingest_tracts(where, files, vintage, cli.console, crs=crs, layer=layer, empty=empty, dry_run=dry_run)
    cli.say(ingested_lines(done, where, dry_run))
    if export and not dry_run:
        export_collection(where, done, export)


@app.command()
def measures(
    file: Annotated[str, typer.Argument(help=".csv, .csv.gz or .parquet with a key column GEOID, geoid or GEO_ID.")],
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")],
    year: Annotated[int, typer.Option(help="Year of the measures.")],
    vintage: VintageOption,
    columns: Annotated[str | None, typer.Option(help="Only these, separated by commas. [default: all numbers]")] = None,
    infinite: Annotated[str, typer.Option(help="Infinite values: refuse, or missing.")] = "refuse",
    key_column: Annotated[
        str | None, typer.Option(help="Column of the tracts. [default: GEOID, geoid, GEO_ID]")
    ] = None,
    export: cli.ExportOption = None,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest a table of measures, and compare its keys with the vintage's polygons."""
    where = Store(load_settings(config, store=store, cluster=cluster).store)
    if export:
        check_export(export)
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    done = ingest.ingest_measures(
        where, file, dataset, year, vintage, columns=names, infinite=infinite, key=key_column, dry_run=dry_run
    )
    cli.say(ingested_lines(done, where, dry_run))
    if export and not dry_run:
        export_collection(where, done, export)


@app.command()
def join(
    datasets: Annotated[list[str], typer.Argument(help="Names of datasets in the store, two or more.")],
    new: Annotated[str, typer.Option("--as", help="Name of the dataset that holds the columns of all.")],
    years: Annotated[str, typer.Option(help="A year, several separated by commas, or a span such as 2020-2024.")],
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Join datasets of one vintage by tract: a definition reads its measures from a single dataset."""
    settings = load_settings(config, store=store, cluster=cluster)
    where = Store(settings.store)
    prepared = join_run.prepare(where, datasets, years_of(years), new)
    if dry_run:
        return cli.say([line for item in prepared for line in item.plan.lines()])
    todo = [item for item in prepared if not item.plan.done]
    if todo:
        with cli.cluster(settings) as client:
            join_run.execute(where, todo, client, cli.console)
    for item in prepared:
        cli.say(ingested_lines(join_run.joined(where, item), where, dry_run))
    return None


@app.command()
def regions(
    file: Annotated[
        str, typer.Argument(help="A crosswalk of Geocorr, any .csv with a row a tract or county, or JSON.")
    ],
    name: Annotated[str, typer.Option(help="Name of the regions, such as cbsa or place: --by NAME of other jobs.")],
    vintage: VintageOption,
    key_column: Annotated[str | None, typer.Option(help="Column of tracts or counties, in a csv.")] = None,
    region_column: Annotated[str | None, typer.Option(help="Column of regions. [default: the name given]")] = None,
    region_name_column: Annotated[str | None, typer.Option(help="Column of the regions' names.")] = None,
    afact_column: Annotated[str | None, typer.Option(help="Column of the key's share in the region.")] = None,
    afact2_column: Annotated[str | None, typer.Option(help="Column of the region's share in the key.")] = None,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest which region each tract or county lies in, whole or by shares."""
    where = Store(load_settings(config, store=store).store)
    columns = RegionColumns(key_column, region_column, region_name_column, afact_column, afact2_column)
    done = ingest_regions(where, file, name, vintage, columns=columns, dry_run=dry_run)
    cli.say(regions_lines(done, where, dry_run))


@app.command()
def brackets(
    file: Annotated[str, typer.Argument(help="A .zip of income brackets, a .json or .csv an area.")],
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")],
    year: Annotated[int, typer.Option(help="Year of the brackets.")],
    vintage: VintageOption,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest household income brackets (B19001) of areas, with a column that names each tract's area."""
    where = Store(load_settings(config, store=store).store)
    cli.say(ingested_lines(ingest_brackets(where, file, dataset, year, vintage, dry_run=dry_run), where, dry_run))


@app.command()
def tiger(
    year: Annotated[int, typer.Option(help="Of the files.")],
    states: Annotated[str, typer.Option("--states", help="Codes or letters, such as 18,39 or IN,OH.")],
    folder: Annotated[str, typer.Option(help="Where the zipped shapefiles go, for `tracts` and `places`.")],
    layer: Annotated[str, typer.Option(help="tract or place.")] = "tract",
    kind: Annotated[
        str, typer.Option(help="cartographic (1:500,000, from 2014) or tiger (from 2011).")
    ] = "cartographic",
    base_url: Annotated[str, typer.Option(envvar="GEOMOB_TIGER_URL", help="Of the server or of a mirror.")] = BASE_URL,
    concurrency: Annotated[int, typer.Option(help="Requests at a time.")] = Politeness.concurrency,
    attempts: Annotated[int, typer.Option(help="Of one request.")] = Politeness.attempts,
    budget: Annotated[float, typer.Option(help="Seconds to spend waiting for a busy server.")] = Politeness.budget,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Fetch polygons of tracts or places from the Census Bureau; what came is kept in the store."""
    where = Store(load_settings(config, store=store).store)
    request = TigerRequest(layer, kind, year, state_codes(states))
    if dry_run:
        return cli.say([f"tiger: {base_url}/{path}" for path in request.paths()])
    polite = Politeness(concurrency=concurrency, attempts=attempts, budget=budget)
    cli.say(fetch_polygons(where, request, folder, Downloader(polite), base_url=base_url))
    return None


@app.command()
def places(
    files: Annotated[
        list[str], typer.Argument(help="Polygons of regions: shapefile, GeoPackage, GeoJSON, GeoParquet.")
    ],
    vintage: VintageOption,
    name: Annotated[str, typer.Option(help="Name of the regions: --by NAME of other jobs.")] = "place",
    key_column: Annotated[str | None, typer.Option(help="Column of their codes. [default: GEOID]")] = None,
    crs: Annotated[str | None, typer.Option(help="Coordinate system of files that do not state theirs.")] = None,
    least: Annotated[float, typer.Option(help="Leave out links with a smaller share of the tract: slivers.")] = 0.0,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Make a table of regions from polygons, by area, where no crosswalk by population is at hand."""
    settings = load_settings(config, store=store, cluster=cluster)
    where = Store(settings.store)
    with cli.cluster(settings) as client:
        done = ingest_areas(
            where,
            files,
            name,
            vintage,
            client,
            cli.console,
            key=key_column,
            crs=crs,
            least=least,
            dry_run=dry_run,
        )
    cli.say(regions_lines(done, where, dry_run))


@app.command()
def acs(
    year: Annotated[int, typer.Option(help="Release: the last of its five years.")],
    table: Annotated[str | None, typer.Option(help="Such as B03002 or DP05. [default: found in a file]")] = None,
    states: cli.StatesOption = None,
    file: Annotated[
        str | None, typer.Option(help="A .csv, .zip or .json of the Bureau, in place of the Census API.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset. [default: acs5_ and the table]")] = None,
    vintage: Annotated[
        str | None, typer.Option(help="Of its tracts. [default: 2000, 2010, 2020 or 2022 by the year]")
    ] = None,
    county_wise: Annotated[
        bool, typer.Option("--county-wise", help="Ask county by county, where states are too much for the server.")
    ] = False,
    base_url: Annotated[str | None, typer.Option(envvar="GEOMOB_CENSUS_URL", help="Of the API or of a mirror.")] = None,
    concurrency: Annotated[int, typer.Option(help="Requests at a time.")] = Politeness.concurrency,
    attempts: Annotated[int, typer.Option(help="Of one request.")] = Politeness.attempts,
    budget: Annotated[float, typer.Option(help="Seconds to spend waiting for a busy server.")] = Politeness.budget,
    timeout: Annotated[float, typer.Option(help="Seconds without an answer.")] = Politeness.timeout,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest an ACS 5-year table by tract; the API's key, if any, comes from CENSUS_API_KEY.

    Answers are kept in the store: a run that was stopped asks only for what has not come.
    """
    where = Store(load_settings(config, store=store).store)
    request = acs_run.Request(year, table, None if states is None else state_codes(states), dataset, vintage)
    if file is not None:
        done = acs_run.ingest_file(where, file, request, dry_run=dry_run)
    elif dry_run:
        return cli.say(acs_run.planned_lines(where, request))
    else:
        polite = Politeness(concurrency=concurrency, attempts=attempts, budget=budget, timeout=timeout)
        by: Literal["state", "county"] = "county" if county_wise else "state"
        done = acs_run.ingest_api(where, request, by=by, base_url=base_url, politeness=polite)
    cli.say(ingested_lines(done, where, dry_run))
    return None


@app.command()
def zones(
    workbook: Annotated[str, typer.Argument(help="Opportunity Insights' workbook (.xls or .xlsx): tables 5 and 8.")],
    county_zones: Annotated[str, typer.Option(help="csv of each county's zone: cz, state, county.")],
    cohort_counts: Annotated[
        str | None, typer.Option(help="People of tracts in 2000 (pop2000, nh.white): tells minority communities.")
    ] = None,
    counties: Annotated[str | None, typer.Option(help="Polygons of counties: dissolved into zones.")] = None,
    vintage: Annotated[str, typer.Option(help="Name of the zones.")] = ZONE_VINTAGE,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest commuting zones: characteristics, mobility, the cohort, polygons and neighbours."""
    where = Store(load_settings(config, store=store, cluster=cluster).store)
    done = ingest_zones(
        where,
        workbook,
        county_zones,
        cohort_counts=cohort_counts,
        counties=counties,
        vintage=vintage,
        dry_run=dry_run,
    )
    cli.say(zones_lines(done, where, dry_run))


@app.command()
def atlas(
    file: Annotated[
        str, typer.Argument(help="Tract outcomes, .csv or .csv.gz: state, county, tract, kir_pooled_p25, …")
    ],
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")] = ATLAS,
    year: Annotated[int, typer.Option(help="Year of the outcomes.")] = ATLAS_YEAR,
    vintage: Annotated[str, typer.Option(help="Of its tracts.")] = ATLAS_VINTAGE,
    columns: Annotated[str | None, typer.Option(help="Only these, separated by commas. [default: all numbers]")] = None,
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest tract outcomes of the Opportunity Atlas, as measures."""
    where = Store(load_settings(config, store=store, cluster=cluster).store)
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    done = ingest_atlas(where, file, dataset=dataset, year=year, vintage=vintage, columns=names, dry_run=dry_run)
    cli.say(ingested_lines(done, where, dry_run))


@app.command()
def sample(
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Ingest the made-up sample country: vintage sample, dataset sample, year 2020."""
    where = Store(load_settings(config, store=store, cluster=cluster).store)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sample(folder)
        done = [
            ingest.ingest_tracts(where, [str(paths.tracts)], "sample", cli.console, dry_run=dry_run),
            ingest.ingest_measures(where, str(paths.measures), "sample", 2020, "sample", dry_run=dry_run),
        ]
    for item in done:
        cli.say(ingested_lines(item, where, dry_run))


if __name__ == "__main__":
    cli.main(app)
