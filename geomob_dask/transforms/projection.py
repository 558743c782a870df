"""The coordinate system for areas and maps of the United States."""

# Albers' conic keeps areas everywhere, Alaska and Hawaii among them; it does not keep shapes.
EQUAL_AREA = "EPSG:5070"
