"""A relationship file in the form of the Census Bureau's."""

# Columns and order of tab20_tract20_tract10_natl.txt; the rows are made up.
HEADER = "|".join(
    f"{name}_TRACT_{year}"
    for year in (20, 10)
    for name in ("OID", "GEOID", "NAMELSAD", "AREALAND", "AREAWATER", "MTFCC", "FUNCSTAT")
)
HEADER += "|AREALAND_PART|AREAWATER_PART"


def relationship(path, rows, extra="", values=None):
    """Write a relationship file: rows of (tract of 2020, tract of 2010, land, water)."""
    lines = [f"\ufeff{HEADER}{extra}"]
    for number, (new, old, land, water) in enumerate(rows):
        lines.append(
            f"2079{number}|{new}|T|1|0|G5020|S|2089{number}|{old}|T|1|0|G5020|S|{land}|{water}"
            + (f"|{values[number]}" if values else "")
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
