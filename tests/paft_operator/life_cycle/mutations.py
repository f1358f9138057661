"""Specs made from the CRD's own schema: one leaf field of a complete spec set, changed, removed or made invalid."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from hack.control_plane.client import Object
from tests.paft_api.complete_job import complete_document

CRD = Path(__file__).parents[3] / "crds" / "paftjobs.paft.dev.yaml"
CROWD = 70_000
FieldPath = tuple[str | int, ...]
Schema = dict[str, Any]


class Change(StrEnum):
    """What is done to a field."""

    CHANGE = "changed"
    REMOVE = "removed"
    SPOIL = "made invalid"
    BOUND = "set to a bound"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One field of a spec, and what becomes of it. `must_be_refused`: its own schema forbids the value."""

    path: FieldPath
    change: Change
    value: Any
    must_be_refused: bool

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))} {self.change}: {str(self.value)[:60]}"

    def applied_to(self, spec: Object) -> Object:
        """The spec with it."""
        mutated = deepcopy(spec)
        target: Any = mutated
        for part in self.path[:-1]:
            target = target[part]
        if self.change is Change.REMOVE:
            del target[self.path[-1]]
        else:
            target[self.path[-1]] = self.value
        return mutated


def good_spec(name: str) -> Object:
    """A spec in which each field is written out, and which can run."""
    spec: Object = complete_document()["spec"]
    spec["storage"]["artifactsUri"] = f"s3://paft/{name}/"
    spec["merge"]["output"]["uri"] = f"s3://models/{name}/"
    spec["runPolicy"] |= {"suspend": False, "pendingDeadlineSeconds": 3600}
    return spec


def mutation(number: int) -> Mutation:
    """One of them. Consecutive numbers go through all fields, then through all of them in other ways."""
    chance = random.Random(number)
    fields = list(_leaves(_spec_schema(), good_spec("any"), ()))
    path, schema, value = fields[number * _step(len(fields)) % len(fields)]
    change = list(Change)[(number + number // len(fields)) % len(Change)]
    if change is Change.SPOIL:
        return Mutation(path=path, change=change, value=_spoiled(schema, chance), must_be_refused=True)
    if change is Change.BOUND:
        return Mutation(
            path=path, change=change, value=_bound(str(path[-1]), schema, value, chance), must_be_refused=False
        )
    if change is Change.CHANGE:
        return Mutation(path=path, change=change, value=_changed(schema, value, chance), must_be_refused=False)
    return Mutation(path=path, change=change, value=None, must_be_refused=False)


def _step(fields: int) -> int:
    """No divisor of the number of fields, so that neighbours in number are far apart in the spec."""
    return next(step for step in (37, 41, 43, 47) if fields % step)


def _spec_schema() -> Schema:
    definition = yaml.load(CRD.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    schema: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def _leaves(schema: Schema, value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Schema, Any]]:
    """Fields without fields of their own, as far as the value has them."""
    if isinstance(value, dict) and "properties" in schema:
        for name, inner in schema["properties"].items():
            if name in value:
                yield from _leaves(inner, value[name], (*path, name))
    elif isinstance(value, list) and "properties" in schema["items"]:
        for index, one in enumerate(value):
            yield from _leaves(schema["items"], one, (*path, index))
    else:
        yield path, schema, value


def _spoiled(schema: Schema, chance: random.Random) -> Any:
    """A value that the field's own schema forbids."""
    wrong: list[Any] = [{"of": ["another", "type"]}] if schema.get("type") not in ("object", None) else [["a list"]]
    if "maximum" in schema:
        wrong.append(schema["maximum"] * 2 + 1)
    if "minimum" in schema:
        wrong.append(schema["minimum"] - 1)
    if "maxLength" in schema:
        wrong.append("x" * (schema["maxLength"] + 1))
    if "pattern" in schema:
        wrong.append("\u00e9 \t{{ }} ../..")
    if "enum" in schema:
        wrong.append(f"{schema['enum'][0]}-")
    return chance.choice(wrong)


def _bound(name: str, schema: Schema, value: Any, chance: random.Random) -> Any:
    bounds = [schema[name] for name in ("minimum", "maximum") if name in schema]
    if name.endswith("DeadlineSeconds"):
        # Its end would be a matter of how busy the machine is.
        return max(bounds)
    if bounds:
        return chance.choice(bounds)
    if isinstance(value, list):
        return [] if chance.random() < 0.5 else value * 2
    if isinstance(value, dict):
        return {}
    if isinstance(value, str) and "maxLength" in schema:
        return (value + value[-1] * CROWD)[: schema["maxLength"]]
    return value


def _changed(schema: Schema, value: Any, chance: random.Random) -> Any:
    """Another value of its kind; rules across fields and the operator decide what it is worth."""
    if "enum" in schema:
        return chance.choice(schema["enum"])
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2
    if isinstance(value, str):
        return chance.choice([f"{value[:-1]}2{value[-1]}", f"7{value}", value.upper(), f"other/{value}", f"{value}."])
    return json.loads(json.dumps(value).replace("a", "b", 1))
