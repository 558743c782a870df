"""The collection of the reasons why numbers of a collection of measures are missing."""


def reasons_of(measures: str) -> str:
    """Return the collection of the reasons why numbers of a collection of measures are missing or coded."""
    return measures.replace("measures/", "reasons/", 1)
