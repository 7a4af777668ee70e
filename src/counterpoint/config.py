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


def parse(kind: type[C], content: Mapping[str, Any], source: str = "settings") -> C:
    """`content` as a checked config.  Raises ValueError: what is wrong, where, and what to write instead."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        # A misspelt key is reported before the required one that is missing because of it.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise ValueError(f"{source}: {_explain(kind, first)}") from error


_WANTED = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a table, such as { name = value }"),
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
}
"""What pydantic's words for the commonest slips mean to a person."""


def _explain(kind: type[BaseModel], error: Any) -> str:
    where = ".".join(_as_written(kind, error["loc"]))
    if error["type"] in _WANTED:
        return f"{where or 'the whole'}: must be {_WANTED[error['type']]}, not {error['input']!r:.60}."
    if error["type"] != "extra_forbidden":
        return f"{where or 'the whole'}: {error['msg'].removeprefix('Value error, ').rstrip('.')}."
    known = _keys_at(kind, [part for part in error["loc"][:-1] if isinstance(part, str)])
    near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}."
    return f"there is no setting {where!r}; {hint}"


def _as_written(kind: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The path of a setting without the tags that pydantic puts into that of a discriminated union."""
    models, written = [kind], list[str]()
    for part in loc:
        inner = [m.model_fields[part].annotation for m in models if isinstance(part, str) and part in m.model_fields]
        if not inner and part in [_tag(m) for m in models]:
            models = [m for m in models if _tag(m) == part]
        else:
            written.append(str(part))
            models = [model for annotation in inner for model in _models_in(annotation)]
    return written


def _keys_at(kind: Any, path: list[str]) -> list[str]:
    """Names of the settings at `path`, looking through unions and skipping their `kind` tags."""
    models = [kind]
    for part in path:
        inner = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        if inner:
            models = [model for annotation in inner for model in _models_in(annotation)]
        else:  # a tag that pydantic puts into the path of a discriminated union
            models = [m for m in models if _tag(m) in (part, None)]
    return [name for model in models for name in model.model_fields]


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
