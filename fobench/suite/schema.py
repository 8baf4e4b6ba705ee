"""What a suite file may hold, as pydantic models built from the records of `contracts`, and their errors as problems."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from fobench import plugins
from fobench.contracts import GUARDS, MACHINES, TRAININGS, Json, Plan, Recipe
from fobench.suite.document import Document, Place, shown

DTYPES = ("float32", "float64", "bfloat16", "float16")
METERS = ("clock", "codecarbon", "rapl", "nvml")
TRACERS = ("macs", "fvcore", "live-tensors", "process-memory", "memory-profiler", "cuda-memory")
"""Defaults of a plan in a suite: every built-in instrument but state tracers.

One that is absent on a machine leaves its reason in the header; a list that depended on what is installed would give the
same suite other cell ids elsewhere.
"""

STRICT = ConfigDict(strict=True, extra="forbid")
OPEN = ConfigDict(strict=True, extra="allow")


def _matching(pattern: str, expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


def _one_of(names: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(plugins.nearest(value, list(names)))
        return value

    return AfterValidator(check)


def _entry(value: Json) -> Json:
    """Read `bp` as `{target: bp}`."""
    if isinstance(value, str):
        return {"target": value}
    if not isinstance(value, dict):
        raise ValueError("expected a name, or a mapping with `target`")
    return value


Count = Annotated[int, Field(gt=0, lt=2**31)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Text = Annotated[str, Field(min_length=1)]


class Entry(BaseModel):
    """A plug-in by name with its arguments, which are all the keys that are not declared here."""

    model_config = OPEN
    target: Text
    label: Text | None = None


Meter = Annotated[Entry, BeforeValidator(_entry)]

TYPES: Mapping[Any, Any] = {
    "device": Annotated[str, _matching(r"cpu|cuda(:\d{1,3})?", "cpu, cuda or cuda:N")],
    "dtype": Annotated[str, _one_of(DTYPES)],
    "meters": Annotated[list[Meter], Field(min_length=1)],
    "tracers": list[Text],
    "guards": list[Annotated[str, _one_of(GUARDS)]],
    "training": Annotated[str, _one_of(TRAININGS)],
    "precision": Share,
    "foreign_cpu_limit": Share,
    "cooldown_band_c": Positive | None,
    "retries": Annotated[int, Field(ge=0, le=100)],
    "window_s": Positive,
    "timeout_s": Positive,
    int: Count,
    int | None: Count | None,
    float: Seconds,
}
"""What the file must give for a field of Recipe and Plan: by name, else by the field's type."""


def _model_of(record: type[Any], defaults: Mapping[str, Json]) -> type[BaseModel]:
    """Build the strict model of a record of `contracts`, so that its fields and defaults stand in one place only."""
    hints = get_type_hints(record)
    definitions: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        kind = TYPES.get(field.name) or TYPES[hints[field.name]]
        default = defaults.get(field.name, field.default)
        definitions[field.name] = (kind, Field(default=default, validate_default=False))
    return create_model(f"{record.__name__}Model", __config__=STRICT, **definitions)


RecipeModel = _model_of(Recipe, {})
PlanModel = _model_of(
    Plan, {"meters": [Entry(target=name) for name in METERS], "tracers": list(TRACERS), "guards": list(GUARDS)}
)


class Override(BaseModel):
    """Arguments of a learner for one data set; `recipe` overrides fields of the recipe."""

    model_config = OPEN
    recipe: RecipeModel | None = None  # type: ignore[valid-type]


class LearnerEntry(Entry):
    """A learner: besides its arguments, fields of the recipe, arguments for single data sets, and on which it runs."""

    recipe: RecipeModel | None = None  # type: ignore[valid-type]
    only: Annotated[list[str], Field(min_length=1)] | None = None
    per_dataset: dict[str, Override] = Field(default_factory=dict)


class SuiteModel(BaseModel):
    """The whole file."""

    model_config = STRICT
    suite: Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9-]*", "letters, digits and dashes")]
    description: str = ""
    blocks: Annotated[int, Field(gt=0, le=1000)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    machines: Annotated[str, _one_of(MACHINES)] = "any"
    recipe: RecipeModel = Field(default_factory=RecipeModel)  # type: ignore[valid-type]
    plan: PlanModel = Field(default_factory=PlanModel)  # type: ignore[valid-type]
    datasets: Annotated[list[Annotated[Entry, BeforeValidator(_entry)]], Field(min_length=1)]
    learners: Annotated[list[Annotated[LearnerEntry, BeforeValidator(_entry)]], Field(min_length=1)]


MODELS: Mapping[str, type[BaseModel]] = {"recipe": RecipeModel, "plan": PlanModel}
"""Models that refuse unknown keys, by the key that they stand under; the top is SuiteModel."""


def validate(document: Document) -> SuiteModel | None:
    """Check the document against the models; None, with problems noted, if it does not fit."""
    try:
        return SuiteModel.model_validate(document.value)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(document, detail)
        return None


def _note(document: Document, detail: ErrorDetails) -> None:
    place: Place = detail["loc"]
    kind, name = detail["type"], place[-1] if place else ""
    if kind == "extra_forbidden":
        model = MODELS[str(place[-2])] if len(place) > 1 else SuiteModel
        document.problem(place, f"unknown key {name!r}; {plugins.nearest(str(name), list(model.model_fields))}", True)
    elif kind == "missing":
        document.problem(place[:-1], f"key {name!r} is missing")
    else:
        where = name if isinstance(name, str) else f"{place[-2]}[{name}]"
        document.problem(place, f"{where} is {shown(detail['input'])}; {_expectation(detail)}")


REWORDED: tuple[tuple[str, Callable[[ErrorDetails], str]], ...] = (
    ("list_type", lambda detail: "expected a list"),
    ("too_short", lambda detail: "expected at least one entry"),
    ("int_", lambda detail: "expected a whole number"),
    ("float_", lambda detail: "expected a number"),
    ("bool_", lambda detail: "expected true or false"),
    ("string_type", lambda detail: "expected text"),
    ("string_too_short", lambda detail: "expected text"),
    ("model_", lambda detail: "expected a mapping"),
    ("dict_", lambda detail: "expected a mapping"),
    ("greater_than_equal", lambda detail: f"expected {detail['ctx']['ge']:g} or more"),
    ("greater_than", lambda detail: f"expected more than {detail['ctx']['gt']:g}"),
    ("less_than_equal", lambda detail: f"expected at most {detail['ctx']['le']:g}"),
    ("less_than", lambda detail: f"expected less than {detail['ctx']['lt']:g}"),
)
"""pydantic's kinds of error in this house's words; the first prefix that fits."""


def _expectation(detail: ErrorDetails) -> str:
    for prefix, words in REWORDED:
        if detail["type"].startswith(prefix):
            return words(detail)
    return detail["msg"].removeprefix("Value error, ")
