"""Values on the wire: plain JSON out of any value of the portal, the value back out of it, and its schema.

Both ends of the HTTP service use the same three functions, driven by the types that the portal's methods
declare: what one end writes, the other one reads as the same value.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from devlib.language import Language, Message
from devlib.model import Mac

Json = Any  # what json.loads gives

_SHOWN = {"type": "string", "description": "The text in the language of the request."}
_MESSAGE_SCHEMA = {
    "type": "object",
    "properties": {
        "shown": _SHOWN,
        "text": {"type": "string", "description": "The English text, with places for its values."},
        "values": {"type": "object", "additionalProperties": True},
    },
    "required": ["shown", "text", "values"],
}
_SCALARS: Mapping[object, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    timedelta: {"type": "number", "description": "Seconds."},
    Path: {"type": "string"},
    Mac: {"type": "string", "pattern": "^([0-9A-F]{2}:){5}[0-9A-F]{2}$"},
    object: {},
    Any: {},
}


def encode(value: object, language: Language = "en") -> Json:
    """Return a value as JSON has it.

    Args:
        value: dataclasses, enumerations, moments, messages and containers of them.
        language: of the texts in it that are for people.

    Raises:
        TypeError: there is no rule for a value of this type.
    """
    kind: Any = type(value)  # its cached answers want a type that can be hashed, as every one can
    if value is None or kind in _PLAIN:
        return value
    if (write := _writer(kind)) is not None:
        return write(value)
    if isinstance(value, Message):
        return _encoded_message(value, language)
    if names := _field_names(kind):
        parts = [(name, getattr(value, name)) for name in names]
        # Most parts are plain: not asking again what they are halves the time that a device takes.
        return {
            name: part if part is None or type(part) in _PLAIN else encode(part, language)
            for name, part in parts
        }
    return _encoded_container(value, language)


@lru_cache(maxsize=256)
def _writer(kind: Any) -> Any:  # noqa: ANN401 - a function
    """Return what writes values of a class that needs no look at its parts; `None` for other classes."""
    return next((write for kinds, write in _WRITERS if issubclass(kind, kinds)), None)


def _encoded_container(value: object, language: Language) -> Json:
    if isinstance(value, Mapping):
        return {str(encode(key)): encode(each, language) for key, each in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(encode(each, language) for each in value)
    if isinstance(value, Sequence):
        return [encode(each, language) for each in value]
    raise TypeError(f"no rule for {type(value).__name__}")


def moment_text(moment: datetime) -> str:
    """Return a UTC moment (with or without its zone) in the form of RFC 3339, to the microsecond."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def _encoded_message(text: Message, language: Language) -> Json:
    values = {name: _encoded_place(each, language) for name, each in text.values.items()}
    return {"shown": text.in_language(language), "text": text.text, "values": values}


def _encoded_place(value: object, language: Language) -> Json:
    try:
        return encode(value, language)
    except TypeError:
        return str(value)


def decode(kind: Any, value: Json) -> Any:  # noqa: ANN401 - whatever `kind` says
    """Return the value of type `kind` that `encode` made `value` of.

    Raises:
        ValueError, TypeError, KeyError: it is no such value.
    """
    if (origin := get_origin(kind)) is not None:
        return _decoded_generic(origin, get_args(kind), value)
    if kind in _READERS:
        return _READERS[kind](value)
    if _field_names(kind):
        return _decoded_fields(kind, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value


def _decoded_generic(origin: Any, kinds: tuple[Any, ...], value: Json) -> Any:  # noqa: ANN401
    if origin in (Union, types.UnionType):
        return _decoded_choice(kinds, value)
    if origin is Literal:
        return _decoded_literal(kinds, value)
    return _decoded_container(origin, kinds, value)


def _decoded_choice(kinds: tuple[Any, ...], value: Json) -> Any:  # noqa: ANN401
    if value is None and type(None) in kinds:
        return None
    return decode(next(each for each in kinds if each is not type(None)), value)


def _decoded_literal(choices: tuple[Any, ...], value: Json) -> Json:
    if value not in choices:
        raise ValueError("none of the values that there are")
    return value


def _decoded_container(origin: Any, kinds: tuple[Any, ...], value: Json) -> Any:  # noqa: ANN401
    if issubclass(origin, Mapping):
        return {decode(kinds[0], key): decode(kinds[1], each) for key, each in value.items()}
    items = (decode(kinds[0], each) for each in value)
    return frozenset(items) if issubclass(origin, AbstractSet) else _LISTS.get(origin, list)(items)


def _decoded_fields(kind: Any, value: Json) -> Any:  # noqa: ANN401
    hints = hints_of(kind)
    return kind(**{name: decode(hints[name], each) for name, each in value.items() if name in hints})


def decoded_message(value: Json) -> Message:
    """Return a text for people, with its values; hostile values stay plain text."""
    places = {
        str(name): decoded_message(each) if isinstance(each, dict) and "text" in each else each
        for name, each in value["values"].items()
    }
    return Message(str(value["text"]), places)


_PLAIN = frozenset({str, int, float, bool})
_WRITERS: Sequence[tuple[Any, Any]] = (
    (Enum, lambda value: value.value),
    ((str, int, float), lambda value: value),
    (datetime, moment_text),
    (timedelta, timedelta.total_seconds),
    ((Mac, Path), str),
)
_LISTS: Mapping[Any, Any] = {tuple: tuple, list: list}
_READERS: Mapping[Any, Any] = {
    Message: decoded_message,
    Mac: Mac.parse,
    Path: Path,
    datetime: datetime.fromisoformat,
    timedelta: lambda seconds: timedelta(seconds=seconds),
    float: float,
}


@lru_cache(maxsize=256)
def hints_of(kind: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a class or a function
    """Return the types that a class or a function declares."""
    return get_type_hints(kind)


def schema(kind: Any, named: dict[str, Json]) -> Json:  # noqa: ANN401
    """Return the JSON schema of what `encode` gives for values of type `kind`.

    Args:
        kind: a type, as a method declares it.
        named: is filled with the schemas of the dataclasses and enumerations, by name.
    """
    if kind is None or kind is type(None):
        return {"type": "null"}
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind is Message:
        named.setdefault("Message", _MESSAGE_SCHEMA)
        return _reference("Message")
    if get_origin(kind) is not None:
        return _container_schema(kind, named)
    if kind.__name__ not in named:
        named[kind.__name__] = {}  # there before its parts, which may name it
        named[kind.__name__] = _class_schema(kind, named)
    return _reference(kind.__name__)


def _container_schema(kind: Any, named: dict[str, Json]) -> Json:  # noqa: ANN401
    origin, kinds = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(each, named) for each in kinds]}
    if origin is Literal:
        return {"enum": list(kinds)}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema(kinds[1], named)}
    return {"type": "array", "items": schema(kinds[0], named)}


def _class_schema(kind: Any, named: dict[str, Json]) -> Json:  # noqa: ANN401
    meaning = (kind.__doc__ or "").strip().split("\n")[0]
    if issubclass(kind, Enum):
        values = [each.value for each in kind]
        return {"type": "string", "enum": values, "description": meaning}
    hints = hints_of(kind)
    names = list(_field_names(kind))
    properties = {name: schema(hints[name], named) for name in names}
    return {"type": "object", "properties": properties, "required": names, "description": meaning}


@lru_cache(maxsize=256)
def _field_names(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - any class
    """Return the names of the fields of a dataclass or a named tuple; nothing for other classes."""
    if dataclasses.is_dataclass(kind):
        return tuple(each.name for each in dataclasses.fields(kind))
    return tuple(getattr(kind, "_fields", ()))


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
