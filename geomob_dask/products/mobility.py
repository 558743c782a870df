"""Mobility models of a study: scores, held-out predictions, importance, fitted models and their cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field

from geomob_dask import activity
from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.frames.mobility_steps import Settings, choose_settings, evaluate
from geomob_dask.models.catalog import MODELS, model_named
from geomob_dask.models.design import Design, ModelOptions, make_design
from geomob_dask.models.fold_plans import folds_title
from geomob_dask.models.mobility_results import fitted_models, result_tables, settings_text
from geomob_dask.models.model_card import model_card
from geomob_dask.models.model_files import to_bytes
from geomob_dask.models.scores import BASELINES
from geomob_dask.models.search import SearchResult
from geomob_dask.names import Name
from geomob_dask.products.mobility_result import CARD, MODEL, as_pairs, put_file
from geomob_dask.products.mobility_study import Universe
from geomob_dask.products.options import Listed, States, Text, WithDefinition
from geomob_dask.products.product import ALL, DriverProduct, Prepared, Target, Watch
from geomob_dask.sources.opportunity_insights import ATLAS, ATLAS_YEAR, ZONE_VINTAGE
from geomob_dask.sources.years import dataset_year
from geomob_dask.store import Commit, Store
from geomob_dask.store.objects import Objects
from geomob_dask.store.provenance import canonical_json, sha256

# Further packages whose version can move a score or a fitted model.
_FITTED_WITH = ("dask-ml", "numba", "scikit-learn", "skops")


class Options(WithDefinition):
    """Options of a mobility study."""

    study: Text = Field("zones", description="Units: zones (commuting zones) or tracts.")
    model: Listed = Field(
        ("elastic_net",),
        description=f"all, or {', '.join(MODELS)}, separated by commas; forest_clusters6: with 6 clusters as features.",
    )
    classes: int = Field(2, description="2: below and above the mean; 4: quartiles.")
    folds: Listed = Field(
        ("stratified:5",),
        description="How units are held out: stratified:FOLDS, states:FOLDS (whole states), contiguity:FOLDS:BUFFER "
        "(blocks of neighbors, units within BUFFER steps left out); several separated by commas.",
    )
    repeats: int = Field(5, description="Number of repetitions of the folds, each with another assignment of units.")
    seed: int = Field(0, description="Seed of folds, models and draws; the same seed gives the same bytes.")
    grid: Text = Field("full", description="Settings that are searched: full, or small (a few of them).")
    outcome: Text | None = Field(
        None, description="Column of the outcome. (default: upward mobility; kir_pooled_p25 for tracts)"
    )
    features: Listed | None = Field(None, description="Only these columns, separated by commas.")
    every_zone: bool = Field(False, description="Zones: also those without a minority tract.")
    vintage: Name = Field(ZONE_VINTAGE, description="Zones: name under which they were ingested.")
    measures: Listed | None = Field(
        None, description="Tracts: datasets of the features, NAME:YEAR, separated by commas."
    )
    outcomes: Text = Field(f"{ATLAS}:{ATLAS_YEAR}", description="Tracts: dataset of the outcome, NAME:YEAR.")
    definition: Definition | None = Field(
        None, description="Tracts: definition of an index; its measures are the features, with domains."
    )
    population: Text | None = Field(None, description="Population column, where the definition does not name it.")
    states: States = Field(None, description="Tracts: codes or letters of states, such as 18,39 or IN,OH.")

    @property
    def universe(self) -> Universe:
        """Return which units, features and outcome are studied."""
        return Universe(
            self.study,
            outcome=self.outcome,
            features=self.features,
            vintage=self.vintage,
            cohort=not self.every_zone,
            measures=tuple(dataset_year(text, "--measures") for text in self.measures or ()),
            outcomes=dataset_year(self.outcomes, "--outcomes"),
            definition=self.definition,
            states=self.states,
        )

    @property
    def model_options(self) -> ModelOptions:
        """Return which models are validated, and how."""
        return ModelOptions(self.model, self.classes, self.folds, self.repeats, self.seed, self.grid)

    def choices(self) -> dict[str, Any]:
        """Return the choices that matter for the study, as plain data: they name the result."""
        return {
            **self.universe.options(),
            "models": list(self.model_options.names),
            "classes": self.classes,
            "folds": list(self.folds),
            "repeats": self.repeats,
            "seed": self.seed,
            "grid": self.grid,
        }

    def plain(self) -> dict[str, Any]:
        """Return the choices without the states: the provenance has them as they were given."""
        return {name: value for name, value in self.choices().items() if name != "states"}

    @property
    def collection(self) -> str:
        """Return the collection of the result: the end of the name is a checksum of all choices."""
        name = f"{self.classes}-classes-{sha256(canonical_json(self.choices()))[:8]}"
        return f"results/mobility/{self.study}/{name}"


class Mobility(DriverProduct):
    """Validate, fit, explain and store models of mobility."""

    # Model searches over folds are no functions of partitions: see `frames.futures`.

    name = "mobility"
    title = "Predictors of children's mobility in communities: validated models, their scores and predictions."
    options = Options

    def prepare(self, store: Store, options: Options, *, by_state: bool = False) -> Prepared:
        """Return the inputs and targets of a run; see `Product.prepare`."""
        options.model_options.check()
        choices = options.choices()
        return Prepared(
            self.name,
            options,
            inputs={},
            targets={"result": Target(options.collection, by_state=False)},
            states=(),
            written=(ALL,),
            attributes={"study": options.study},
            whole=options.universe.inputs(store),
            found={"states": choices["states"]} if "states" in choices else {},
            part="scores",
            lines=tuple(f"{model_named(name).title} ({name})" for name in choices["models"]),
            packages=_FITTED_WITH,
        )

    def check_scope(self, options: Options, by_state: bool) -> None:
        """Raise InputError for one output per state: a study needs all its units."""
        if by_state:
            raise InputError("scope: found state for mobility, whose models are fitted on all units; expected all")

    def design(self, store: Store, prepared: Prepared) -> Design:
        """Return the study of a run with its classes and all folds; whatever cannot be fitted is refused here.

        Raises
        ------
        InputError
            If the study, its classes, its folds or those inside them cannot be made, or too few units have a feature.
        """
        options: Options = prepared.options
        return make_design(options.universe.read(store, prepared.whole), options.model_options)

    def execute(self, store: Store, prepared: Prepared, client: Any, watch: Watch) -> Sequence[Commit]:
        """Search, validate, fit and explain; write tables, model files and cards."""
        design = self.design(store, prepared)
        steps = _Steps(watch)
        # The same run reads them back after it was broken off.
        settings = choose_settings(design, client=client, fits=_fits(store, prepared), watch=steps)
        # The leaks are those of the published study of zones.
        leaks = design.study.name == "zones"
        found = evaluate(design, settings, leaks=leaks, client=client, watch=steps)
        about = _about(store, prepared, design, settings)
        tables = result_tables(design, found)
        collection = prepared.collection
        parts = {name: store.put(collection, name, table) for name, table in tables.items()}
        for fitted in fitted_models(design, found.fitted, about["run"]).values():
            model, card = f"{MODEL}{fitted.name}", f"{CARD}{fitted.name}"
            text = model_card(fitted.name, about, tables).encode()
            parts[model] = put_file(store, collection, model, "model", to_bytes(fitted), design.study)
            parts[card] = put_file(store, collection, card, "md", text, design.study)
        provenance = replace(prepared.provenance, report=as_pairs(about))
        return [Commit(collection, parts, provenance, prepared.attributes)]

    def committed(self, store: Store, prepared: Prepared) -> None:
        """Delete the fits that were kept for a run that is broken off."""
        _fits(store, prepared).clear()


@dataclass(frozen=True)
class StoredFits:
    """Finished fits as small objects of a store.

    Parameters
    ----------
    objects : Objects
    prefix : str
        Of their names.
    """

    objects: Objects
    prefix: str = "fits"

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, None if there is none."""
        name = f"{self.prefix}/{key}.json"
        return self.objects.get(name) if self.objects.exists(name) else None

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key, whole or not at all."""
        self.objects.put(f"{self.prefix}/{key}.json", data)
        # A run that is broken off does not compute it again.
        activity.completed()

    def clear(self) -> None:
        """Delete all fits."""
        for one in self.objects.listing(self.prefix):
            self.objects.delete(one.key)


def _fits(store: Store, prepared: Prepared) -> StoredFits:
    return StoredFits(store.objects, f"fits/mobility/{prepared.provenance.identity}")


class _Steps:
    """Progress of the steps: counts by stage, and the settings as they are chosen."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._paths: dict[str, tuple[int, int]] = {}

    def path(self, name: str, finished: int, total: int) -> None:
        self._paths[name] = finished, total
        done, every = (sum(counts) for counts in zip(*self._paths.values(), strict=True))
        self._watch.stages({"elastic-net": (done, every)})

    def searched(self, name: str, result: SearchResult, finished: int, total: int) -> None:
        self._watch.stages({"searches": (finished, total)})
        self._watch.say(f"  {name}: {_chosen(result)}")

    def computed(self, stage: str, finished: int, total: int) -> None:
        self._watch.stages({stage: (finished, total)})


def _chosen(found: SearchResult) -> str:
    best = found.best()
    row = found.tried.index(best)
    loss, accuracy = found.losses[row].mean(), found.accuracies[row].mean()
    return f"{settings_text(best)}; inside: log loss {loss:.4f}, accuracy {accuracy:.4f}"


def _about(store: Store, prepared: Prepared, design: Design, settings: Settings) -> dict[str, Any]:
    """Return the report of a run; see `mobility_result.Result`."""
    options: Options = prepared.options
    provenance = prepared.provenance
    study, labels = design.study, design.labels
    missing = np.isnan(study.values).mean(axis=0)
    return {
        "study": study.name,
        "outcome": study.outcome_title,
        "outcome_name": study.outcome_name,
        "as_published": options.universe == Universe("zones"),
        "units": len(study.keys),
        "classes": list(labels.names),
        "class_counts": dict(zip(labels.names, labels.counts.tolist(), strict=True)),
        "edges": labels.edges.tolist(),
        "ties": labels.ties,
        "features": [
            {**vars(feature), "missing": float(share)} for feature, share in zip(study.features, missing, strict=True)
        ],
        "models": {name: model_named(name).title for name in design.options.names},
        "baselines": dict(BASELINES),
        "folds": {text: folds_title(plan) for text, plan in design.options.plans.items()},
        "settings": {name: dict(chosen) for name, chosen in settings.final.items()},
        "data": options.universe.lines(store, prepared.whole, study),
        "seed": options.seed,
        "run": provenance.identity,
        "inputs": dict(provenance.inputs),
        "versions": dict(provenance.versions),
    }
