"""Definitions, groups and backfill files of the golden runs, written beside their data."""

SAMPLE_DOMAINS = """
domains:
  income:
    - {measure: poverty_pct, direction: 1}
    - {measure: median_income_usd, direction: -1}
  education:
    - {measure: no_diploma_pct, direction: 1}
    - {measure: bachelors_pct, direction: -1}
  health:
    - {measure: uninsured_pct, direction: 1}
    - {measure: life_expectancy_years, direction: -1}
    - {measure: minutes_to_hospital, direction: 1}
"""
PARAMETERS = {
    "plain": "{impute: false, fill: false}",
    "rook": "{contiguity: rook, scale: 30, tie_tolerance: 0}",
    "mirrored": "{reverse: minmax}",
    "svi": "{recipe: svi}",
    "z_mean": "{recipe: z_mean}",
    "component": "{recipe: principal_component}",
    "weighted": "{recipe: weighted_principal_component}",
}
INDICES = {
    f"{name}.yaml": f"name: {name}\npopulation: population{SAMPLE_DOMAINS}parameters: {parameters}\n"
    for name, parameters in PARAMETERS.items()
}

GRID_DOMAINS = ("TR", "EN", "CR", "EM", "HS", "HL", "ED")
GRID = "\n".join(
    f"  {domain}: [{', '.join(f'{{measure: {domain}_{number}}}' for number in range(1, 6))}]" for domain in GRID_DOMAINS
)
GRIDS = {
    f"grid_{reverse}.yaml": f"name: grid_{reverse}\npopulation: Pop\ndomains:\n{GRID}\n"
    f"parameters: {{reverse: {reverse}}}\n"
    for reverse in ("complement", "minmax")
}

DECILE_DOMAINS = """
population: people
domains:
  low: [{measure: decile_1}, {measure: decile_2}]
  high: [{measure: decile_9, direction: -1}, {measure: decile_10, direction: -1}]
"""
TENURE = """
name: tenure
title: Tenure
subgroup_type: tenure
editions:
  - years: [null, null]
    total: [people, people_moe]
    groups:
      - {name: owners, label: owners, parts: [[owners, owners_moe]]}
      - {name: renters, label: renters, parts: [[renters, renters_moe]]}
"""
ORIGIN = """
name: two
title: Hispanic and others
subgroup_type: origin
editions:
  - total: [B03002_001E, B03002_001M]
    groups:
      - {name: hispanic, label: Hispanic, parts: [[B03002_012E, B03002_012M]]}
      - {name: others, label: Others, remainder: true}
"""


def _columns(kind: str) -> str:
    return ", ".join(f"{kind}_{number}" for number in range(1, 11))


_BRACKETS = "\n".join(
    f"  - {{column: decile_{number}, moe: decile_{number}_moe, from: {10 * number - 10}, to: {10 * number}}}"
    for number in range(1, 11)
)
HOMES = f"""
name: homes
title: Deciles by kind of home
merges: {{quintiles: 5}}
brackets:
{_BRACKETS}
parts:
  - {{path: [flats], columns: [{_columns("flats")}]}}
  - {{path: [houses], columns: [{_columns("houses")}]}}
"""
MARGINS = f"name: margins\ntitle: Deciles with margins\nbrackets:\n{_BRACKETS}\n"

BACKFILL = """
name: night
products:
  index: {job: opportunity, dataset: made, definition: each.yaml, scope: state}
  frozen: {job: opportunity, dataset: made, definition: nation.yaml, norm: "frozen:2019", years: "2020"}
  nation: {job: opportunity, dataset: made, definition: nation.yaml, cube: nation, years: "2019"}
  counties: {job: exposure, dataset: made, groups: tenure.yaml, by: county, interactions: true}
  areas: {job: exposure, dataset: made, groups: tenure.yaml, by: area}
  mixed: {job: mixing, dataset: made, brackets: deciles, by: county, cube: mixed}
  mixed_areas: {job: mixing, dataset: made, brackets: deciles, by: area}
  apart: {job: segregation, dataset: made, groups: "owners,renters", by: county,
          indices: [dissimilarity, spatial_dissimilarity]}
  apart_areas: {job: segregation, dataset: made, groups: deciles, by: area, indices: [information_theory]}
"""

FILES = {
    **INDICES,
    **GRIDS,
    "each.yaml": f"name: each{DECILE_DOMAINS}",
    "nation.yaml": f"name: nation{DECILE_DOMAINS}",
    "tenure.yaml": TENURE,
    "origin.yaml": ORIGIN,
    "homes.yaml": HOMES,
    "margins.yaml": MARGINS,
    "night.yaml": BACKFILL,
}
