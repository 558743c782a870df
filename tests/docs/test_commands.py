"""Every command of the README and the docs is run, in order, on small files of the names that they use.

What is not run as it is written stands in `WITH_DRY_RUN` and `NOT_RUN`, with the reason.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import geopandas as gpd
import pandas as pd
import pytest
import shapely
import yaml
from census_server import serving
from documented import PAGES, ROOT, Command, commands_of, files_of, yaml_blocks
from documented_files import (
    AREAS,
    FILES,
    INDEX_OF_YEARS,
    KUBECONFIG,
    NATION,
    NIGHT,
    Census,
    cell,
    from_page,
    households,
    keys_of,
    lay,
    measures,
    polygons_of,
)
from pages import data_of, json_of

from geomob_dask.runs.landing import ingest
from geomob_dask.store import Store

# Pattern of a command, what is added to it, and why.
WITH: dict[str, tuple[str, str]] = {
    r"--cluster (lab|slurm|cloud)\b": ("--dry-run", "needs machines, a queue or Kubernetes (tests/clusters)"),
    r"doctor\.py( --cluster local.*)?$": ("--dry-run", "starts worker processes (tests/doctor)"),
    r"submit\.py (backfill|opportunity)": ("--dry-run", "starts a process that outlives the test (tests/submissions)"),
    r"mobility\.py --study zones .*(--repeats|elastic_net)": ("--dry-run", "fits for minutes (tests/mobility_job)"),
    r"mobility\.py --study zones --model logistic,forest": (
        "--grid small --repeats 1 --folds stratified:3 --features single_mothers_share,married_share",
        "fits for a minute (tests/mobility_job)",
    ),
    r"mobility\.py --study tracts": ("--grid small --repeats 1 --folds stratified:3", "fits for minutes"),
}
# Pattern of what is not run, and why.
NOT_RUN = {
    r"make ": "a target of the Makefile",
    r"\. \.venv/bin/activate": "tests run in the environment that make has set up",
    r"python benchmarks/": "measures for minutes to hours",
    r"python -m pytest ": "tests, run by themselves",
    r"tests/services/": "starts daemons (tests/test_services.py)",
    r"pip install ": "needs a package index",
    r"(helm|kubectl) ": "needs Kubernetes",
    r"python jobs/explore\.py *(#.*)?$": "serves until it is ended (tests/explore)",
    r"(ssh|dask scheduler) ": "needs another machine, or serves until it is ended (tests/explore)",
    r"export (AWS_|GEOMOB_STORE)": "the test has set them, of a bucket here",
    r"python -c .*create_bucket": "the test has made the bucket",
    r"python jobs/submit\.py --(follow|cancel|resume|status) backfill-": "is of one submission (tests/submissions)",
}
# What a site has and this machine has not: a fast network, a partition of Slurm with large nodes.
SITE = {"ib0": "lo", "partition: normal": "partition: main", "16GiB": "4GiB", "8GiB": "4GiB"}
BUCKETS = ("my-bucket", "bucket", "geomob")


def is_run(command: Command) -> bool:
    """Return whether a command is run here."""
    return not any(re.match(pattern, command.text) for pattern in NOT_RUN)


@dataclass(frozen=True)
class Reader:
    """Someone who types the commands of pages, in a folder of their own."""

    folder: Path
    job: Callable[..., Any]
    service: Callable[[str], Any]
    patch: pytest.MonkeyPatch

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    def types(self, command: Command) -> None:
        """Run a command, which must end well."""
        if command.words[0] == "mkdir":
            (self.folder / command.words[1]).mkdir()
            return
        if command.words[:2] == ["python", "-c"]:
            exec(command.words[2], {})
            return
        for pattern, prepare in JUST_BEFORE.items():
            if re.search(pattern, command.text):
                prepare(self)
        arguments = command.arguments
        for pattern, (added, _) in WITH.items():
            if re.search(pattern, command.text):
                arguments += [flag for flag in added.split() if flag != "--dry-run" or flag not in arguments]
        lay(self.folder, arguments)
        with pytest.MonkeyPatch.context() as patch:
            if command.arguments[-2:] == ["--cluster", "address"] or "--cluster address " in command.text:
                patch.setenv("GEOMOB_ADDRESS", self.service("scheduler"))
            if "--cluster slurm" in command.text:
                self.service("slurm")
            done = self.job(command.job, *arguments)
        assert done.code == 0, f"{command}\n{done.out[-3000:]}\n{done.err}"

    def runs(self, line: str) -> None:
        """Run a job that a page takes for granted."""
        self.types(Command("before the page", 0, f"python jobs/{line}"))

    def has(self, name: str, content: str) -> None:
        """Have a file of that name."""
        (self.folder / name).write_text(content, encoding="utf-8")

    def has_tracts(self, vintage: str, states: list[str]) -> None:
        """Have the polygons of a vintage in the store."""
        ingest(self.store, "tracts", files=[self._saved(polygons_of(states, vintage))], vintage=vintage)

    def has_measures(
        self, dataset: str, years: range, vintage: str = "2010", table: pd.DataFrame | None = None
    ) -> None:
        """Have a table, by default the measures of two states, as that of several years."""
        file = self._saved(measures() if table is None else table)
        for year in years:
            ingest(self.store, "measures", file=file, dataset=dataset, year=year, vintage=vintage)

    def _saved(self, table: pd.DataFrame) -> str:
        file = self.folder / "saved.parquet"
        table.to_parquet(file)
        return str(file)


def _index_of_2018(reader: Reader) -> None:
    reader.has_tracts("2010", ["18", "39"])
    reader.runs("neighbors.py --vintage 2010")
    reader.has_measures("acs", range(2018, 2019))
    reader.has_measures("opportunity", range(2018, 2019))


def _opportunity(reader: Reader) -> None:
    _index_of_2018(reader)
    lay(reader.folder, [name := "opportunity_atlas_tract_collapse.csv.gz"])
    reader.runs(f"ingest.py atlas {name}")


def _sample(reader: Reader) -> None:
    reader.runs("ingest.py sample")
    reader.runs("neighbors.py --vintage sample")


def _clusters(reader: Reader) -> None:
    _sample(reader)
    _index_of_2018(reader)
    reader.has_measures("opportunity", range(2014, 2018))
    lay(reader.folder, ["definition.csv", "my_index.yaml"])
    reader.has("nation.yaml", NATION)
    reader.has("kubeconfig", KUBECONFIG)
    reader.patch.setenv("KUBECONFIG", "kubeconfig")


def _services(reader: Reader) -> None:
    lay_clusters(reader, "docs/clusters.md")
    reader.patch.setenv("GEOMOB_STORE", "s3://geomob/store")


def _backfill(reader: Reader) -> None:
    reader.has("night.yaml", from_page("docs/backfill.md", "night"))
    lay(reader.folder, ["my_index.yaml"])
    reader.has("nation.yaml", (reader.folder / "my_index.yaml").read_text().replace("my_index", "nation"))
    reader.has_tracts("2010", ["18", "39"])
    reader.runs("neighbors.py --vintage 2010")
    reader.has_measures("acs", range(2009, 2024))
    reader.runs("ingest.py acs --year 2009-2023 --table B03002,B19001 --states OH")
    reader.has("metros.json", '{"39001": {"code": "10001", "name": "One"}, "39049": {"code": "18140", "name": "Two"}}')
    for vintage in ("2000", "2010", "2020", "2022"):
        reader.runs(f"ingest.py regions metros.json --name cbsa --vintage {vintage}")


def _years_of_the_readme(reader: Reader) -> None:
    reader.has("my_index.yaml", INDEX_OF_YEARS)


def _bucket(reader: Reader) -> None:
    reader.runs("ingest.py tracts cb_2018_18_tract_500k.zip --vintage 2010 --store s3://my-bucket/geomob")


def _exposure(reader: Reader) -> None:
    reader.has_tracts("2020", ["39", "53"])
    reader.runs("ingest.py acs --year 2021 --table B03002 --states OH,WA")
    halves = [shapely.box(-85, 41, -84.5, 42), shapely.box(-84.5, 41, -84, 42)]
    cities = gpd.GeoDataFrame({"GEOID": ["3900010", "3900020"], "NAME": ["First", "Second"]}, geometry=halves, crs=4269)
    cities.to_file(reader.folder / "places.gpkg")
    reader.runs("ingest.py places places.gpkg --vintage 2020")


def _names(reader: Reader) -> None:
    _index_of_2018(reader)
    reader.has_measures("acs", range(2020, 2024))
    reader.runs("cube.py write acs --results measures/acs/{year} --years 2020-2023")


def _provenance(reader: Reader) -> None:
    _index_of_2018(reader)
    lay(reader.folder, ["my_index.yaml"])
    index = "opportunity.py --definition my_index.yaml --dataset acs --year 2018"
    reader.runs(f"{index} --export index.csv --map map.html")
    reader.runs(f"{index} --export index.parquet")
    reader.runs(f"{index} --states OH --export last_year.parquet")


def _segregation(reader: Reader) -> None:
    reader.has_tracts("2020", list(AREAS.values()))
    tables = {year: households().rename(columns={"cbsa": "metro"}) for year in (2017, 2018)}
    for year, table in tables.items():
        reader.has_measures("metros", range(year, year + 1), "2020", table)


def _mobility(reader: Reader) -> None:
    reader.has_tracts("2010", ["18", "39"])
    reader.runs("neighbors.py --vintage 2010")


def _night(reader: Reader) -> None:
    reader.has("night.yaml", NIGHT)
    reader.has("my_index.yaml", INDEX_OF_YEARS)
    reader.has_tracts("2022", ["44"])
    reader.runs("neighbors.py --vintage 2022")
    table = pd.DataFrame({"GEOID": keys_of("44"), "B01003_001E": 4000})
    table["B19113_001E_usd_2023"] = table["B25077_001E_usd_2023"] = range(50_000, 56_000, 1000)
    reader.has_measures("comparable", range(2020, 2025), "2022", table)


def _vintages(reader: Reader) -> None:
    reader.runs("ingest.py acs --year 2020-2024 --table B01003,B19113 --states CT,RI")
    reader.runs("ingest.py acs --year 2015-2019 --table B03002 --states OH,WA")


def _cubes(reader: Reader) -> None:
    reader.has_tracts("2010", ["18", "39"])
    reader.runs("neighbors.py --vintage 2010")
    reader.has_measures("acs", range(2009, 2025))
    lay(reader.folder, ["my_index.yaml"])
    reader.has("mine.yaml", (reader.folder / "my_index.yaml").read_text().replace("my_index", "mine"))
    reader.runs("opportunity.py --definition mine.yaml --dataset acs --year 2009-2023")


# What pages take for granted.
BEFORE: dict[str, Callable[[Reader], None]] = {
    "docs/backfill.md": _backfill,
    "docs/clusters.md": _clusters,
    "docs/cube.md": _cubes,
    "docs/exposure.md": _exposure,
    "docs/mobility.md": _mobility,
    "docs/names.md": _names,
    "docs/opportunity.md": _opportunity,
    "docs/provenance.md": _provenance,
    "docs/segregation.md": _segregation,
    "docs/services.md": _services,
    "docs/store.md": _sample,
    "docs/submit.md": _night,
    "docs/vintages.md": _vintages,
}

# What commands in the middle of a page take for granted, by a pattern of the command.
JUST_BEFORE: dict[str, Callable[[Reader], None]] = {
    r"ingest\.py tracts cb_2020_09_tract_500k\.zip": _years_of_the_readme,
    r"neighbors\.py .*--store s3://my-bucket/geomob": _bucket,
}


def lay_clusters(reader: Reader, page: str) -> None:
    """Have the sections of clusters that a page shows in a cluster.yaml."""
    sections = [yaml.safe_load(block) for block in yaml_blocks(ROOT / page) if block.startswith("clusters:")]
    if sections:
        text = yaml.safe_dump({"clusters": {name: one for part in sections for name, one in part["clusters"].items()}})
        for theirs, ours in SITE.items():
            text = text.replace(theirs, ours)
        reader.has("cluster.yaml", text)


@pytest.fixture(scope="module")
def scheduler(s3_endpoint: str) -> Iterator[str]:
    """Return the address of a scheduler that runs, without a dashboard in this process."""
    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=None, protocol="tcp", memory_limit="4GiB"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def reader(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    job: Callable[..., Any],
    s3_endpoint: str,
    request: pytest.FixtureRequest,
) -> Iterator[Reader]:
    """Return someone with an empty folder, the Census API, and a scheduler at hand."""
    import boto3

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    for name in BUCKETS:
        boto3.client("s3").create_bucket(Bucket=name)
    with serving() as server:
        server.RequestHandlerClass = Census
        monkeypatch.setenv("GEOMOB_CENSUS_URL", server.url)
        yield Reader(tmp_path, job, request.getfixturevalue, monkeypatch)


def pages() -> list[str]:
    """Return the pages that have commands of jobs."""
    found = [page.relative_to(ROOT).as_posix() for page in PAGES if any(one.job for one in commands_of(page))]
    return sorted(found, key=lambda page: page != "README.md")


@pytest.mark.parametrize("page", pages())
def test_the_commands_of_a_page_run_in_order(page: str, reader: Reader) -> None:
    lay_clusters(reader, page)
    for name, content in files_of(ROOT / page).items():
        reader.has(name, content)
    BEFORE.get(page, lambda _: None)(reader)
    for command in commands_of(ROOT / page):
        if is_run(command):
            reader.types(command)
    if page == "README.md":
        years_are_comparable(reader)


def years_are_comparable(reader: Reader) -> None:
    """Compare what the README's sequence of years leaves in the store with what the Census API has answered."""
    tracts = sorted(keys_of("09", "2022") + keys_of("44"))
    assert reader.store.frame("tracts/2022").compute(scheduler="threads").index.tolist() == tracts
    for year in range(2020, 2025):
        people = reader.store.frame(f"measures/comparable/{year}").compute(scheduler="threads")["B01003_001E"]
        expected = {key: int(cell("B01003_001E", n, year)) for n, key in enumerate(keys_of("09", "2022"))}
        assert people[list(expected)].to_dict() == expected
        index = reader.store.frame(f"results/opportunity/my_index/comparable/{year}/all-selected")
        assert index.compute(scheduler="threads")["opportunity"].notna().sum() == len(tracts)
    page = (reader.folder / "change.html").read_text(encoding="utf-8")
    assert json_of(data_of(page)["keys"]) == tracts


def others() -> list[Command]:
    """Return the commands that are not run here."""
    return [command for page in PAGES for command in commands_of(page) if not (command.job and is_run(command))]


@pytest.mark.parametrize("command", others(), ids=str)
def test_a_command_that_is_not_run_is_listed_and_names_what_is_there(command: Command) -> None:
    assert not is_run(command) or command.words[0] == "mkdir" or command.words[1] == "-c", (
        "run it here, or list it in NOT_RUN with the reason"
    )
    for word in command.words:
        if re.match(r"(tests|benchmarks)/|docs/.*\.md", word):
            assert (ROOT / word).exists(), word
    if command.words[0] == "make":
        assert re.search(rf"^{command.words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if command.words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(re.findall(r"\[(\w+)\]", command.text)) <= set(extras)
    if command.text.startswith("python benchmarks/"):
        source = (ROOT / command.words[1]).read_text()
        for flag in re.findall(r"(?<=\s--)[a-z][a-z-]*", command.text):
            assert re.search(rf"\b{flag.removeprefix('no-').replace('-', '[-_]')}\b", source), flag


def test_every_exception_is_of_a_command() -> None:
    every = [command.text for page in PAGES for command in commands_of(page)]
    for pattern in (*WITH, *JUST_BEFORE):
        assert any(re.search(pattern, text) for text in every), pattern
    for pattern in NOT_RUN:
        assert any(re.match(pattern, text) for text in every), pattern
    named = {word for page in PAGES for command in commands_of(page) if command.job for word in command.arguments}
    assert set(FILES) - named <= {"my_index.yaml"}
