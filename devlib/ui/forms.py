"""A form to edit parameters, in place of a cell of assignments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import traitlets

from devlib.errors import UsageError
from devlib.language import Language, message, visible
from devlib.ui.widget import Handler, Widget, text_of

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that has one of some values.

    Args:
        value: the first one.
        options: all of them.
    """

    value: Plain
    options: tuple[Plain, ...]


def choice(value: Plain, options: Sequence[Plain]) -> Choice:
    """Return a parameter with a list to choose from; `value` is the first one, even if it is not listed."""
    listed = tuple(options) if value in options else (value, *options)
    return Choice(value, listed)


class Form(Widget):
    """Fields for parameters: `form["days"]` is what is written in the field now, `form.values` all of them.

    Args:
        parameters: the first values by name; a `Choice` gives a list.
        language: of its texts.
        labels: what stands beside a field, by name of the parameter; by default the name.
    """

    script = "form.js"

    fields: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(
        self,
        parameters: Mapping[str, Plain | Choice],
        language: Language,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._choices = {name: each.options for name, each in parameters.items() if isinstance(each, Choice)}
        self._values: dict[str, Plain] = {
            name: each.value if isinstance(each, Choice) else each for name, each in parameters.items()
        }
        self._first = dict(self._values)
        self._labels = dict(labels or {})
        super().__init__(language, {"yes": message("yes"), "no": message("no")}, fields=[])
        self.fields = self._described()

    def __getitem__(self, name: str) -> Plain:
        return self._values[name]

    @property
    def values(self) -> dict[str, Plain]:
        """All parameters as they are now."""
        return dict(self._values)

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may do: set one value."""
        return {"set": self._set}

    def plain(self) -> str:
        """Return one line for each parameter."""
        return "\n".join(
            f"{self._labels.get(name, name)} = {value!r}" for name, value in self._values.items()
        )

    def _described(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "label": self._labels.get(name, name),
                "kind": _kind(self._first[name]),
                "value": value,
                "options": None if name not in self._choices else [str(o) for o in self._choices[name]],
                "place": None if name not in self._choices else self._choices[name].index(value),
            }
            for name, value in self._values.items()
        ]

    def _set(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        name, text = text_of(content, "name"), text_of(content, "value")
        if name not in self._values:
            raise UsageError(message("There is no parameter {name}.", name=visible(name)))
        if name in self._choices:
            options = self._choices[name]
            self._values[name] = options[_whole(name, text, len(options) - 1)]
        else:
            self._values[name] = _read(name, text, self._first[name])
        self.fields = self._described()


def _kind(value: Plain) -> str:
    if isinstance(value, bool):
        return "switch"
    return "number" if isinstance(value, int | float) else "text"


def _whole(name: str, text: str, most: int) -> int:
    if not text.isdecimal() or int(text) > most:
        raise _wrong(name, text)
    return int(text)


def _read(name: str, text: str, like: Plain) -> Plain:
    """Return what was written, as a value of the kind that the parameter first had."""
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[text]
        if isinstance(like, int):
            return int(text)
        if isinstance(like, float):
            return float(text.replace(",", "."))
    except (KeyError, ValueError):
        raise _wrong(name, text) from None
    return None if like is None and not text else text


def _wrong(name: str, text: str) -> UsageError:
    return UsageError(
        message("{text} does not fit the parameter {name}.", text=visible(text), name=visible(name)),
        remedy=message("Write a value of the same kind as the first one."),
    )
