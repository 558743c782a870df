"""The products there are, by name. A module is imported when its product is asked for."""

from functools import cache
from importlib import import_module

from geomob_dask.errors import InputError
from geomob_dask.messages import shown
from geomob_dask.names import did_you_mean
from geomob_dask.products.product import Product

CATALOG = {
    "cube": "geomob_dask.products.cube:Cubes",
    "exposure": "geomob_dask.products.exposure:Exposure",
    "harmonize": "geomob_dask.products.harmonize:Harmonize",
    "intervals": "geomob_dask.products.intervals:Intervals",
    "join": "geomob_dask.products.join:Join",
    "location_quotients": "geomob_dask.products.location_quotients:LocationQuotients",
    "mixing": "geomob_dask.products.mixing:Mixing",
    "mobility": "geomob_dask.products.mobility:Mobility",
    "mobility_applied": "geomob_dask.products.mobility_applied:MobilityApplied",
    "neighbors": "geomob_dask.products.neighbors:Neighbors",
    "opportunity": "geomob_dask.products.opportunity:Opportunity",
    "segregation": "geomob_dask.products.segregation:Segregation",
}


@cache
def product_named(name: str) -> Product:
    """Return a product.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in CATALOG:
        raise InputError(f"product {shown(name)}: {did_you_mean(name, CATALOG)}")
    module, _, kind = CATALOG[name].partition(":")
    product: Product = getattr(import_module(module), kind)()
    return product
