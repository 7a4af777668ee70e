"""Strict typed settings: pydantic models read from TOML or JSON, overridden as `a.b=c`, written back as JSON.

A config *builds* its thing (`build()`), so that go-to-definition works; unions are told apart by `kind`.
A key that does not exist is an error that names its nearest neighbour: nothing is silently ignored.
"""

import copy
import datetime
import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of all settings: frozen, and strangers are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read(path: Path) -> dict[str, Any]:
    """The plain content of a TOML or JSON file.  Raises ValueError with the file, line and reason."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}; give the path of a .toml or .json file.")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid {path.suffix.lstrip('.').upper() or 'TOML'}: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a list or a single value; settings are a table of names and values.")
    return content


def override(content: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """`content` with changes of the form `a.b=c` applied; c is read as a TOML value, or else (and for dates) as plain text."""
    result = copy.deepcopy(dict(content))
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals or not path:
            raise ValueError(f"An override looks like train.steps=100, not {change!r}.")
        *parents, leaf = path.strip().split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"{path!r} goes through {parent!r}, which is a value and has no parts.")
        place[leaf] = _parse_value(value.strip())
    return result


def _parse_value(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(value, datetime.date | datetime.time) else value  # no setting is a date, but a folder may be


FORMAT = 1
"""What recipes and checkpoints state as `format`; it grows when older versions could not read them rightly."""
UPGRADE = "upgrade counterpoint."


def parse(kind: type[C], content: Mapping[str, Any], source: str = "settings") -> C:
    """`content` as a checked config.  Raises ValueError: what is wrong, where, and what to write instead."""
    stated = content.get("format", FORMAT)
    if "format" in kind.model_fields and isinstance(stated, int) and stated > FORMAT:  # whatever else is new in it
        raise ValueError(f"{source} was written for a newer counterpoint (format {stated}; this one reads {FORMAT}): {UPGRADE}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        # A misspelt key is reported before the required one that is missing because of it.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise ValueError(f"{source}: {_explain(kind, first)}") from error


_WANTED = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a table, such as { name = value }"),
    "union_tag_not_found": "a table that states its kind",
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
}
"""What pydantic's words for the commonest slips mean to a person."""

_BOUNDS = {"greater_than_equal": ("ge", "at least"), "greater_than": ("gt", "more than")}
_BOUNDS |= {"less_than_equal": ("le", "at most"), "less_than": ("lt", "less than")}


def _explain(kind: type[BaseModel], error: Any) -> str:
    unknown = error["type"] == "extra_forbidden"
    names, models = _walk(kind, error["loc"][:-1] if unknown else error["loc"])
    where = ".".join(names) or "the whole"
    if error["type"] in _WANTED:
        return f"{where}: must be {_WANTED[error['type']]}, not {error['input']!r:.60}."
    if error["type"] in _BOUNDS:
        limit, words = _BOUNDS[error["type"]]
        return f"{where}: must be {words} {error['ctx'][limit]:g}, not {error['input']!r:.60}."
    if error["type"] == "union_tag_invalid":
        return f"{where}: there is no kind {error['ctx']['tag']!r}; known here: {error['ctx']['expected_tags']}."
    if not unknown:
        return f"{where}: {error['msg'].removeprefix('Value error, ').rstrip('.')}."
    known = [name for model in models for name in model.model_fields]
    near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}."
    return f"there is no setting {'.'.join([*names, str(error['loc'][-1])])!r}; {hint}"


def _walk(kind: Any, path: Sequence[str | int]) -> tuple[list[str], list[type[BaseModel]]]:
    """The names along `path`, and the models at its end, looking through unions: their tags are in pydantic's path."""
    names: list[str] = []
    models = [kind]
    for part in path:
        if isinstance(part, int):  # a place in a list, whose models are those of the list
            names.append(str(part))
            continue
        inner = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        if inner or not models:
            names.append(part)
            models = [model for annotation in inner for model in _models_in(annotation)]
        else:
            models = [m for m in models if _tag(m) in (part, None)]
    return names, models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _tag(model: type[BaseModel]) -> str | None:
    tag = model.model_fields.get("kind")
    return None if tag is None else tag.default


def dump(config: Config) -> str:
    """The config as JSON text; `parse(kind, json.loads(dump(c))) == c`."""
    return config.model_dump_json(indent=2) + "\n"
