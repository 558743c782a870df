"""Years of a product as one cube with history; `python jobs/cube.py --help` shows examples."""

import geomob_dask.ending  # noqa: F401 - first: an interrupt of the other imports ends in order

# isort: split

from functools import partial
from typing import Annotated

import typer

from geomob_dask import cli
from geomob_dask.job import product_command
from geomob_dask.messages import counted
from geomob_dask.outputs import change_maps, change_tables
from geomob_dask.outputs.csv_text import check_csv_text
from geomob_dask.outputs.cube import CubeOutputs, history_lines
from geomob_dask.outputs.cube_tables import check_cube_export, chosen_years, export_cube
from geomob_dask.outputs.names import cube_region_names, named_rows, unit_label
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.provenance_cubes import record_of_cube
from geomob_dask.outputs.result import LAYER, MAP_HELP
from geomob_dask.outputs.tables import CSV, MAPS, PAGES, SUFFIXES, WITH_GEOMETRY, check_file
from geomob_dask.outputs.tables import export as export_table
from geomob_dask.settings import load_settings
from geomob_dask.sources.durations import seconds_of
from geomob_dask.sources.states import state_codes
from geomob_dask.sources.years import years_of
from geomob_dask.store import Store
from geomob_dask.store.cubes import Cube, cube_names, open_cube

app = cli.application(
    "All years of a product as one cube (Icechunk, Zarr v3): write, history, export, change.",
    """
    python jobs/cube.py write index --results results/opportunity/mine/acs/{year}/all-selected --years 2015-2023
    python jobs/cube.py write acs --results measures/acs/{year} --years 2020,2021 --dry-run
    python jobs/cube.py history index
    python jobs/cube.py tag index published-2026
    python jobs/cube.py clean index --older-than 7d --dry-run
    python jobs/cube.py export index index.parquet --tag published-2026
    python jobs/cube.py export index index_long.csv.gz --years 2018,2023
    python jobs/cube.py change index --measure opportunity --years 2018,2023 --map change.html --export change.csv
    python jobs/cube.py change acs --measure B19013_001E --years 2020,2023 --map income.html
    python jobs/cube.py series index --measure opportunity --tracts 39049000110 --states OH,IN --page series.html
    """,
)

NameArgument = Annotated[str, typer.Argument(help="Name of the cube.")]
VersionOption = Annotated[str | None, typer.Option(help="A version of the history. \\[default: the newest]")]
TagOption = Annotated[str | None, typer.Option(help="A tag of the history.")]
MeasureOption = Annotated[str, typer.Option(help="A measure of the cube.")]


app.command("write")(product_command("cube", CubeOutputs(), left_out=("force",)))


@app.command()
def export(
    name: NameArgument,
    file: Annotated[str, typer.Argument(help=".csv or .csv.gz (long), .parquet (wide, with polygons).")],
    years: Annotated[str | None, typer.Option(help="Only these. \\[default: all]")] = None,
    version: VersionOption = None,
    tag: TagOption = None,
    csv_text: cli.CsvTextOption = "safe",
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Write a cube as one table."""
    where = Store.of(load_settings(config, store=store, cluster=cluster))
    check_cube_export(file)
    check_csv_text(csv_text)
    chosen = years_of(years) if years else ()
    cli.say(export_cube(where, name, file, version=version, tag=tag, years=chosen, csv_text=csv_text))


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(help="Name of the cube. \\[default: the names of all cubes]")] = None,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Print what each commit of a cube changed, the newest first."""
    where = Store.of(load_settings(config, store=store, cluster=cluster))
    if name is None:
        return cli.say(cube_names(where) or [f"store {where.url}: no cube yet"])
    return cli.say(history_lines(Cube(where, name).history()))


@app.command()
def tag(
    name: NameArgument,
    tag: Annotated[str, typer.Argument(help="A name that the cube does not have yet.")],
    version: VersionOption = None,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Give a version a permanent name."""
    where = Store.of(load_settings(config, store=store, cluster=cluster))
    cli.say([f"tag {tag}: version {Cube(where, name).tag(tag, version)}"])


@app.command()
@cli.with_labels
def change(
    name: NameArgument,
    measure: MeasureOption,
    years: Annotated[str, typer.Option(help="Two years, such as 2018,2023.")],
    period: Annotated[
        int | None,
        typer.Option(
            help="Years that an estimate spans. \\[default: as the dataset says; else 5 if it is named acs5_…, else 1]"
        ),
    ] = None,
    map_file: Annotated[
        str | None, typer.Option("--map", help=MAP_HELP.format("of the change, and of both years"))
    ] = None,
    layer: Annotated[str | None, typer.Option(help=LAYER.help)] = None,
    export: cli.ExportOption = None,
    csv_text: cli.CsvTextOption = "safe",
    labels: cli.LabelsOption = None,
    title: cli.TitleOption = None,
    version: VersionOption = None,
    tag: TagOption = None,
    store: cli.StoreOption = None,
    cluster: cli.ClusterOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Compare two years: the change, and whether it is larger than its margin of error."""
    settings = load_settings(config, store=store, cluster=cluster)
    where = Store.of(settings)
    check_csv_text(csv_text)
    for option, file, suffixes in (("--export", export, SUFFIXES), ("--map", map_file, MAPS)):
        if file:
            check_file(option, file, suffixes)
    pair = years_of(years)
    cube = open_cube(where, name, version=version, tag=tag)
    change_tables.check_change(cube, measure, pair)
    for option, file in (("--export", export), ("--map", map_file)):
        if file and file.endswith((*MAPS, *WITH_GEOMETRY)):
            change_tables.check_polygons(where, cube, f"{option} {file}")
    span, why = change_tables.period_of(cube, measure, *pair) if period is None else (period, "")
    table = change_tables.change_table(cube, measure, *pair, period=span)
    cli.say(change_tables.change_summary(table, measure, *pair))
    cli.say(change_tables.change_notes(cube, measure, *pair, period=span, why=why))
    about = partial(record_of_cube, where, name, cube.sel(year=list(pair)), measure=measure, period=span)
    if map_file:
        with cli.cluster(settings) as client:
            record = about(option="cube change --map", **({"layer": layer} if layer else {}))
            change_maps.map_change(
                where, cube, table, measure, (pair[0], pair[1]), map_file, client, cli.console, record, layer
            )
    if export:
        record = about(option="cube change --export", **({"csv_text": csv_text} if export.endswith(CSV) else {}))
        shapes = partial(change_tables.polygons_of, where, cube)
        export_table(
            named_rows(table, cube_region_names(where, cube)), export, shapes, csv_text=csv_text, record=record
        )


@app.command()
@cli.with_labels
def series(
    name: NameArgument,
    measure: MeasureOption,
    page: Annotated[str, typer.Option(help="The page to write (.html), for offline use.")],
    tracts: Annotated[str | None, typer.Option(help="Tracts or regions to draw, at most 8, with commas.")] = None,
    states: cli.StatesOption = None,
    years: Annotated[str | None, typer.Option(help="Only these. \\[default: all]")] = None,
    labels: cli.LabelsOption = None,
    title: cli.TitleOption = None,
    version: VersionOption = None,
    tag: TagOption = None,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Draw a measure over the years: quartiles by state, and chosen tracts with their intervals."""
    where = Store.of(load_settings(config, store=store, cluster=cluster))
    check_file("--page", page, PAGES)
    cube = open_cube(where, name, version=version, tag=tag)
    cube = chosen_years(cube, years_of(years) if years else ())
    keys = [key.strip() for key in tracts.split(",")] if tracts else []
    codes = state_codes(states) if states else ()
    chosen = {"measure": measure, "tracts": keys, "states": list(codes)}
    record = record_of_cube(where, name, cube, option="cube series --page", **chosen)
    known = cube_region_names(where, cube) if keys else None
    names = {key: unit_label(key, known) for key in keys}
    write_page("--page", page, change_maps.series_page(cube, measure, keys, codes, names), record)
    cli.say([f"{measure} of cube {name}: {page}"])


@app.command()
def clean(
    name: NameArgument,
    older_than: Annotated[
        str, typer.Option(help="Keep what is younger, such as 12h or 7d, since a writer may be about to commit it.")
    ] = "7d",
    dry_run: cli.DryRunOption = False,
    store: cli.StoreOption = None,
    cluster: cli.HereOption = None,
    config: cli.ConfigOption = None,
) -> None:
    """Remove chunks that no version refers to: those of writers that were killed or refused."""
    where = Store.of(load_settings(config, store=store, cluster=cluster))
    count, size = Cube(where, name).clean(seconds_of(older_than, "--older-than"), dry_run=dry_run)
    cli.say([f"{name}: {counted(count, 'object')}, {size / 2**20:.1f} MiB {'to be removed' if dry_run else 'removed'}"])


if __name__ == "__main__":
    cli.main(app)
