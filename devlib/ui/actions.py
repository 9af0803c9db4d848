"""Fields and buttons that do something: add, assign, restart, remove; dangerous ones ask first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import traitlets

from devlib.errors import DevlibError, UsageError
from devlib.language import Language, Message, message, visible
from devlib.ui.widget import Handler, Widget, text_of

_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Args:
        name: by which the act gets it.
        label: beside it.
        options: values to choose from; empty for free text.
        kind: `text` or `number`.
        needed: whether it must be filled in.
    """

    name: str
    label: str
    options: tuple[str, ...] = ()
    kind: str = "text"
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Button:
    """One act.

    Args:
        name: of the act.
        label: on the button.
        confirm: the question before it; empty for none.
        danger: whether it takes something away.
    """

    name: str
    label: str
    confirm: str = ""
    danger: bool = False


Act = Callable[[str, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Said:
    """What became of an act; `kind` is done, warning or fault."""

    kind: str
    lines: tuple[str, ...] = field(default_factory=tuple)


class Actions(Widget):
    """A small form with its acts, and what became of the last one.

    Args:
        language: of its texts.
        title: over it.
        act: called with the name of an act and the texts in the fields.
    """

    script = "actions.js"

    title = traitlets.Unicode().tag(sync=True)
    fields = traitlets.List().tag(sync=True)
    buttons = traitlets.List().tag(sync=True)
    said = traitlets.Dict().tag(sync=True)

    def __init__(self, language: Language, title: str, act: Act) -> None:
        self._act = act
        super().__init__(language, _words(), title=title)

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may do: one of the acts that are offered."""
        return {"act": self._do}

    def offer(
        self, buttons: Sequence[Button], fields: Sequence[Field] = (), *, title: str | None = None
    ) -> None:
        """Offer other acts; what was said of the last one goes away."""
        with self.hold_sync():
            self.title = self.title if title is None else title
            self.fields = [asdict(each) | {"options": list(each.options)} for each in fields]
            self.buttons = [asdict(each) for each in buttons]
            self.said = {}

    def say(self, kind: str, lines: Sequence[str]) -> None:
        """Show what became of an act."""
        self.said = {"kind": kind, "lines": [str(line)[:_LONGEST] for line in lines]}

    def tell(self, error: DevlibError) -> None:
        """Show an error as what became of an act."""
        self.say("fault", error.in_language(self.language).splitlines())

    def plain(self) -> str:
        """Return the title."""
        return self.title or "Actions"

    def _do(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        name = text_of(content, "name", 100)
        if name not in {each["name"] for each in self.buttons}:
            raise UsageError(message("The page sent something that cannot be: {name}.", name=visible(name)))
        given = content.get("values")
        if not isinstance(given, dict):
            raise UsageError(message("The page sent something that cannot be: {name}.", name="values"))
        values = {each["name"]: text_of(given, each["name"], _LONGEST).strip() for each in self.fields}
        self._act(name, values)


def _words() -> dict[str, Message]:
    return {"yes": message("Yes, do it"), "no": message("No"), "busy": message("This is being done…")}
