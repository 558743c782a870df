"""A fitted mobility model applied to the tracts of a dataset and year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from geomob_dask.frames.mobility import predict
from geomob_dask.models.model_files import FittedModel, from_bytes
from geomob_dask.options import FILE
from geomob_dask.products.mobility_result import model_part
from geomob_dask.products.options import ByYear, Text
from geomob_dask.products.product import Frames, Prepared, Product, Target
from geomob_dask.products.reader import Reader
from geomob_dask.sources.attributes import DESCRIPTIVE, period_in
from geomob_dask.sources.files import read_bytes
from geomob_dask.store import Store
from geomob_dask.store.provenance import sha256

_STUDIES = "results/mobility/"


class Options(ByYear):
    """Options of the application of a fitted model."""

    model: Annotated[Text, FILE] = Field(
        description="A model file, or the collection of a study in the store and the name of a model, such as "
        f"{_STUDIES}zones/2-classes-1a2b3c4d/elastic_net."
    )

    def plain(self) -> dict[str, Any]:
        """Return the options without where the model is: the provenance keeps the checksum of its file."""
        return {name: value for name, value in super().plain().items() if name != "model"}


@dataclass(frozen=True)
class ModelFile:
    """The bytes of a model file and where they are from.

    Parameters
    ----------
    where : str
        For errors.
    data : bytes
    """

    where: str
    data: bytes

    def read(self) -> FittedModel:
        """Return the model.

        Raises
        ------
        InputError
            If it is not a model file of this version.
        """
        return from_bytes(self.data, self.where)


class MobilityApplied(Product):
    """Predict the class of every tract of a dataset with a fitted model."""

    name = "mobility_applied"
    title = "Predictions of a fitted mobility model for the tracts of a dataset."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        file = model_file(store, options.model)
        fitted = file.read()
        source = store.snapshot(options.measures)
        # A column that is absent is reported before anything is read.
        fitted.values(store.empty(source), source.collection)
        checksum = sha256(file.data)
        states = tuple(state for state, part in store.chosen(source, options.states).items() if part.rows)
        collection = f"results/mobility-applied/{fitted.name}-{checksum[:8]}/{options.dataset}/{options.year}"
        return Prepared(
            self.name,
            options,
            inputs={"measures": source},
            targets={"result": Target(collection)},
            states=states,
            written=states,
            attributes={key: value for key, value in source.attributes.items() if key not in DESCRIPTIVE}
            | period_in(source.attributes),
            files={f"model {fitted.name}": checksum},
            found={"model": fitted.name, "model_run": fitted.run},
            details=file,
            by_state=by_state,
            keep_others=options.states is not None,
        )

    def compute(self, read: Reader, prepared: Prepared) -> Frames:
        """Return the predictions by state."""
        fitted = prepared.details.read()
        measures = read.frame("measures", list(fitted.feature_names))
        if read.lazy:
            return {"result": predict(measures, fitted)}
        # By state, as on a cluster: a matrix product over more rows may round otherwise.
        parts = [predict(rows, fitted) for _, rows in measures.groupby(measures.index.str[:2])]
        return {"result": pd.concat(parts)}

    def scope_of_states(self, options: Options) -> bool:
        """Return True: each state is predicted from its own rows."""
        return True


def model_file(store: Store, model: str) -> ModelFile:
    """Return a model file by its path, or that of a study in the store.

    Raises
    ------
    InputError
        If the file cannot be read, or the study or the model is not in the store.
    """
    if model.startswith(_STUDIES):
        collection, _, name = model.rpartition("/")
        part = model_part(store, collection, name)
        return ModelFile(f"{store.url}/{part.key}", store.objects.get(part.key))
    return ModelFile(model, read_bytes(model, expected="a model file"))
