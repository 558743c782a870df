"""Command lines of the golden runs, by suite and label: each suite fills a store of its own.

A command that writes to ``out/`` is compared by that table too. What the machine's mathematics decides in the last
bits is named in `ROUNDED` (LAPACK, BLAS) and `FITTED` (models), by suite and the beginning of a label.
"""

_INDEX = "opportunity --dataset sample --year 2020 --definition"
_RACE = "exposure --dataset race --year 2018 --by"
_MADE = "--dataset made --year 2020"
_APART = f"segregation {_MADE} --by area --groups deciles"
_FEW = "information_theory,multigroup_gini,spatial_information_theory,delta"
_EXACT = (
    "dissimilarity,gini,isolation,interaction,correlation_ratio,theil,atkinson,minimum_maximum,delta,"
    "absolute_concentration,relative_concentration,spatial_proximity,multigroup_dissimilarity,multigroup_gini,"
    "mutual_information,information_theory,relative_diversity,normalized_exposure,squared_coefficient_of_variation,"
    "simpson_interaction,diversity,group_mutual_information,ordinal_information_theory,ordinal_variation_ratio,"
    "ordinal_square_root,ordinal_absolute_difference,nested_mutual_information,nested_information_theory,"
    "spatial_dissimilarity,spatial_exposure,spatial_information_theory,spatial_relative_diversity"
)
_MINE = "harmonize --dataset mine --years 2018 --to 2020 --kinds kinds.yaml --medians missing"
_ZONES = "mobility --study zones --grid small --repeats 1 --features"
_FEATURES = "single_mothers_share,married_share,black_share,household_income_usd,local_tax_rate"

SUITES: dict[str, dict[str, str]] = {
    "sample": {
        "ingest": "ingest sample",
        "neighbors": "neighbors --vintage sample --export out/edges.csv",
        "index": f"{_INDEX} sample --validation out/validation.csv --against sample:2020:poverty_pct",
        "index of two states": f"{_INDEX} sample --states 91,92",
        "index by state": f"{_INDEX} sample --norm state",
        "index of the nation in two states": f"{_INDEX} sample --norm nation --states 93,94",
        "ingest another year": "ingest measures sample_2021.csv.gz --dataset sample --year 2021 --vintage sample",
        "index of another year": "opportunity --dataset sample --year 2021 --definition sample",
        "frozen": "opportunity --dataset sample --year 2021 --definition sample --norm frozen:2020",
        "frozen of two states": "opportunity --dataset sample --year 2021 --definition sample --norm frozen:2020 "
        "--states 91,92",
        "intervals": "opportunity --dataset sample --year 2021 --definition sample --draws 5 --seed 1",
        "plain": f"{_INDEX} plain.yaml",
        "rook": f"{_INDEX} rook.yaml",
        "mirrored": f"{_INDEX} mirrored.yaml",
        "svi": f"{_INDEX} svi.yaml",
        "z_mean": f"{_INDEX} z_mean.yaml",
        "component": f"{_INDEX} component.yaml",
        "component weighted": f"{_INDEX} weighted.yaml",
        "steps": f"{_INDEX} mirrored.yaml --steps",
        "cube": "cube write index --results results/opportunity/sample/sample/{year}/all-selected --years 2020,2021",
        "cube as long table": "cube export index out/long.csv",
        "cube as wide table": "cube export index out/wide.parquet",
        "cube change": "cube change index --measure opportunity --years 2020,2021 --export out/change.csv",
        "cube of measures": "cube write measures --results measures/sample/{year} --years 2021",
        "cube of measures as table": "cube export measures out/measures.csv",
    },
    "grid": {
        "ingest tracts": "ingest tracts ooi_tracts.gpkg --vintage grid",
        "ingest measures": "ingest measures ooi_measures.csv --dataset grid --year 2020 --vintage grid",
        "neighbors": "neighbors --vintage grid",
        "index": "opportunity --dataset grid --year 2020 --definition grid_complement.yaml --steps",
        "index mirrored": "opportunity --dataset grid --year 2020 --definition grid_minmax.yaml",
        "ingest tracts again": "ingest tracts ooi_tracts.gpkg --vintage wide",
        "neighbors across gaps": "neighbors --vintage wide --snap 0.01 --gap 0.5 --islands nearest:1",
    },
    "race": {
        "ingest 2018": "ingest measures race_2018.csv --dataset race --year 2018 --vintage 2010",
        "ingest 2019": "ingest measures race_2019.csv --dataset race --year 2019 --vintage 2010",
        "ingest tracts": "ingest tracts race_tracts.geojson --vintage 2010 --crs EPSG:5070",
        "regions": "ingest regions metro.json --name cbsa --vintage 2010",
        "regions by shares": "ingest regions wards.csv --name ward --vintage 2010 --key-column tract "
        "--region-column ward --region-name-column ward_name --afact-column afact",
        "places": "ingest places places.geojson --vintage 2010 --crs EPSG:5070",
        "places without slivers": "ingest places places.geojson --vintage 2010 --crs EPSG:5070 --name large "
        "--least 0.3",
        "exposure": "exposure --dataset race --year 2018-2019 --by county,cbsa,place,ward,state",
        "exposure published": f"{_RACE} county,place --as published --interactions out/pairs.csv",
        "exposure published long": f"{_RACE} county --as published --long out/long.csv",
        "exposure published 2023": f"{_RACE} place,ward --as published-2023",
        "exposure interactions": f"{_RACE} cbsa --interactions out/cbsa_pairs.parquet",
        "exposure above a threshold": f"{_RACE} county --threshold 5000",
        "exposure of own groups": f"{_RACE} cbsa --groups origin.yaml",
        "exposure of two states": f"{_RACE} county --states 91,92",
        "neighbors": "neighbors --vintage 2010 --contiguity rook",
        "segregation": "segregation --dataset race --year 2018,2019 --by cbsa --groups b03002_four --change "
        "--indices mutual_information,information_theory,dissimilarity,spatial_information_theory",
        "segregation of margins": "segregation --dataset race --year 2018 --by county --groups b03002_four "
        "--indices mutual_information,dissimilarity --draws 8 --interval moe --seed 2",
    },
    "tables": {
        "acs file": "ingest acs --year 2018 --file B02001.csv",
        "acs file with reasons": "ingest acs --year 2018 --file B19113.csv",
        "join": "ingest join acs5_b02001 acs5_b19113 --as acs5 --years 2018",
        "brackets": "ingest brackets brackets.zip --dataset income --year 2023 --vintage 2020",
        "mixing of metros": "mixing --dataset income --year 2023 --by cbsa",
        "mixing of merged brackets": "mixing --dataset income --year 2023 --by cbsa --merge six "
        "--positions 1,2,3,4,6,9",
        "mixing at middles": "mixing --dataset income --year 2023 --by cbsa --positions middle --regions 10100,20200",
        "segregation of metros": "segregation --dataset income --year 2023 --by cbsa --groups b19001 "
        "--indices information_theory,gini,ordinal_information_theory --draws 8",
    },
    "made": {
        "ingest 2020": "ingest measures made_2020.csv --dataset made --year 2020 --vintage toy --columns {columns}",
        "ingest 2021": "ingest measures made_2021.csv --dataset made --year 2021 --vintage toy --columns {columns}",
        "ingest tracts": "ingest tracts made_tracts.geojson --vintage toy --crs EPSG:5070",
        "neighbors": "neighbors --vintage toy",
        "exposure by a column": f"exposure {_MADE} --by area --groups tenure.yaml --interactions out/pairs.csv",
        "mixing": "mixing --dataset made --year 2020,2021 --by area --brackets deciles",
        "mixing merged": f"mixing {_MADE} --by county --brackets deciles --merge quintiles --positions 1,2,3,5,9",
        "mixing at middles": f"mixing {_MADE} --by nation --brackets deciles --positions middle --weight 0.25",
        "mixing of a tract alone": f"mixing {_MADE} --by alone --brackets deciles",
        "mixing of one state": f"mixing {_MADE} --by area --brackets deciles --states IN --merge 0,0,0,0,1,1,1,1,1,1",
        "mixing of one region": f"mixing {_MADE} --by area --brackets deciles --regions west --weight 0.75",
        "mixing nested": f"mixing {_MADE} --by area --brackets homes.yaml",
        "all indices": f"{_APART} --merge quintiles --local out/local.csv",
        "exact indices": f"{_APART} --indices {_EXACT}",
        "groups without an order": f"segregation {_MADE} --by county --groups owners,renters",
        "one region and level": f"{_APART} --regions east --indices nested_mutual_information --levels county",
        "near pairs": f"{_APART} --indices spatial_proximity --cutoff 2",
        "null of evenness": f"{_APART} --indices {_FEW} --draws 12",
        "null of units": f"{_APART} --indices {_FEW} --draws 12 --null units --interval units --seed 5",
        "null of persons": f"{_APART} --indices {_FEW} --draws 12 --null persons --interval none --seed 3",
        "interval of margins": f"segregation {_MADE} --by area --groups margins.yaml --draws 12 --interval moe "
        "--indices mutual_information,dissimilarity",
        "change": "segregation --dataset made --year 2020,2021 --by area --groups deciles --change --draws 6 "
        "--indices mutual_information,information_theory",
    },
    "harmonize": {
        "ingest": "ingest measures mine.csv --dataset mine --year 2018 --vintage 2010",
        "crosswalk": f"{_MINE} --crosswalk crosswalk.csv",
        "dollars": f"{_MINE} --crosswalk crosswalk.csv --dollars 2023",
        "one state": f"{_MINE} --crosswalk crosswalk.csv --states OH --as ohio",
        "lost people": f"{_MINE} --crosswalk lossy.csv --lost 0.2 --as lossy",
        "without slivers": f"{_MINE} --crosswalk crosswalk.csv --least 0.2 --lost 0.1 --as least",
        "ingest gap": "ingest measures gap.csv --dataset gap --year 2018 --vintage 2010",
        "missing sources": "harmonize --dataset gap --years 2018 --to 2020 --kinds kinds.yaml --medians missing "
        "--crosswalk crosswalk.csv",
        "ingest codes": "ingest measures connecticut.csv --dataset acs5_x --year 2021 --vintage 2020",
        "recoded": "harmonize --dataset acs5_x --years 2021 --to 2022 --as new",
        "recoded back": "harmonize --dataset new --years 2021 --to 2020 --as back --dollars 2023",
        "ingest money": "ingest measures rent.csv --dataset rent --year 2020 --vintage 2020",
        "money": "harmonize --dataset rent --years 2020 --to 2022 --kinds rent_kinds.yaml --dollars 2015",
        "ingest classes": "ingest measures older.csv --dataset older --year 2018 --vintage 2010 "
        "--columns a_count,class",
        "relationship file": "harmonize --dataset older --years 2018 --to 2022 --kinds class_kinds.yaml "
        "--relationship tab20_tract20_tract10_natl.txt",
    },
    "backfill": {
        "ingest 2019": "ingest measures made_2019.csv --dataset made --year 2019 --vintage toy --columns {columns}",
        "ingest 2020": "ingest measures made_2020.csv --dataset made --year 2020 --vintage toy --columns {columns}",
        "ingest tracts": "ingest tracts made_tracts.geojson --vintage toy --crs EPSG:5070",
        "neighbors": "neighbors --vintage toy",
        "norms": "backfill night.yaml --years 2019 --products nation",
        "all products": "backfill night.yaml --years 2019:2020",
        "cube of tracts": "cube export mixed out/mixed.csv",
        "cube of an index": "cube export nation out/nation.csv",
    },
    "mobility": {
        "zones": "ingest zones zones.xlsx --county-zones county_zones.csv --cohort-counts cohort.csv "
        "--counties counties.geojson",
        "study of zones": f"{_ZONES} {_FEATURES} --model elastic_net,ordinal "
        "--folds stratified:3,states:3,contiguity:3:1",
        "study in four classes": f"{_ZONES} {_FEATURES} --model logistic --classes 4 --folds stratified:3 --every-zone",
        "study of trees": f"{_ZONES} {_FEATURES} --model forest,boosting --folds states:2",
        "ingest measures": "ingest measures jobs_age.csv --dataset made --year 2018 --vintage 2010",
        "atlas": "ingest atlas atlas.csv",
        "study of tracts, applied": "mobility --study tracts --measures made:2018 --grid small --folds states:3 "
        "--repeats 1 --model elastic_net --apply made:2018 --save models",
        "applied from a file": "mobility --with-model models/elastic_net.model --apply made:2018 "
        "--export out/applied.csv",
    },
}
_MADE_COLUMNS = [
    *(f"decile_{number}" for number in range(1, 11)),
    *(f"decile_{number}_moe" for number in range(1, 11)),
    *(f"{kind}_{number}" for kind in ("flats", "houses") for number in range(1, 11)),
    *(f"{name}{suffix}" for name in ("owners", "renters", "people") for suffix in ("", "_moe")),
    "area",
    "alone",
]
for _suite in ("made", "backfill"):
    for _label, _command in SUITES[_suite].items():
        SUITES[_suite][_label] = _command.replace("{columns}", ",".join(_MADE_COLUMNS))

ROUNDED = {"sample": ("component", "intervals"), "made": ("all indices", "groups without an order")}
FITTED = {"mobility": ("study", "applied")}
