"""The base of the suite's widgets: one style sheet, texts in two languages, and a guarded way back.

A browser is not trusted: it cannot set any trait, and each message that it sends is checked for its kind,
its size and its values before anything is done. A widget's text and HTML stand for it where no widget can
run (a code-hosting site, a comparison by nbval), and are the same each time.
"""

from collections.abc import Callable, Mapping
from html import escape
from importlib import resources
from typing import Any

import anywidget
import traitlets

from devlib.errors import DevlibError, UsageError
from devlib.language import Language, Message, message

Handler = Callable[[Mapping[str, Any], list[memoryview]], None]

_LONGEST_TEXT = 2_000


def static_text(name: str) -> str:
    """Return one of the files that the browser is given."""
    return resources.files("devlib.ui").joinpath("static", name).read_text(encoding="utf-8")


class Widget(anywidget.AnyWidget):
    """What all widgets of the suite share.

    Subclasses name their script in `script` and their handlers of browser messages in `handlers()`.

    Args:
        language: of all its texts.
        words: its texts by the names that its script uses.
    """

    script = ""

    texts = traitlets.Dict().tag(sync=True)
    lang = traitlets.Unicode("en").tag(sync=True)
    busy = traitlets.Int(0).tag(sync=True)

    def __init__(self, language: Language, words: Mapping[str, Message] | None = None, **traits: Any) -> None:  # noqa: ANN401
        self.language: Language = language
        texts = {name: text.in_language(language) for name, text in (words or {}).items()}
        # anywidget makes traits of these two; a browser gets the script and the style with the widget.
        self._esm = static_text("shared.js") + static_text(self.script)
        self._css = static_text("devlib.css")
        super().__init__(texts=texts, lang=language, **traits)
        self._asked = 0
        self.on_msg(self._received)

    def handlers(self) -> Mapping[str, Handler]:
        """Return what is done for each kind of message that a browser may send."""
        return {}

    def words(self, text: Message) -> str:
        """Return a text in the widget's language."""
        return text.in_language(self.language)

    def set_state(self, sync_data: object) -> None:
        """Refuse what a browser wants to set: all traits are the kernel's own."""

    def wait(self) -> int:
        """Show that an answer is being looked for; return the number of the question."""
        self._asked += 1
        self.busy = self._asked
        return self._asked

    def waits_for(self, asked: int) -> bool:
        """Return whether the question of that number is still the last one."""
        return asked == self._asked

    def stop_waiting(self) -> None:
        """Show that nothing is being looked for any more."""
        self.busy = 0

    def plain(self) -> str:
        """Return the text that stands for the widget; the same for the same content."""
        return type(self).__name__

    def html(self) -> str:
        """Return HTML that stands for the widget where none can run."""
        return f"<pre>{escape(self.plain())}</pre>"

    def still(self) -> dict[str, str]:
        """Return what stands for the widget where none can run, by its type."""
        return {"text/html": self.html()}

    def __repr__(self) -> str:
        return f"<{self.plain().splitlines()[0][:200]}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:  # type: ignore[override]
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {
            "text/plain": self.plain(),
            **self.still(),
            "application/vnd.jupyter.widget-view+json": view,
        }

    def _received(self, _: object, content: object, buffers: list[memoryview]) -> None:
        """Do what a message asks for; what is wrong with it is told, never raised."""
        handler = self.handlers().get(kind) if isinstance(kind := _kind(content), str) else None
        if handler is None or not isinstance(content, dict):
            return
        try:
            handler(content, buffers)
        except DevlibError as error:
            self.tell(error)

    def tell(self, error: DevlibError) -> None:
        """Show an error in the widget."""
        self.send({"kind": "error", "text": error.in_language(self.language)})


def _kind(content: object) -> object:
    return content.get("kind") if isinstance(content, dict) else None


def text_of(content: Mapping[str, Any], name: str, limit: int = _LONGEST_TEXT) -> str:
    """Return a text of a message.

    Raises:
        UsageError: it is missing, no text, or too long.
    """
    value = content.get(name)
    if not isinstance(value, str) or len(value) > limit:
        raise _wrong(name)
    return value


def number_of(content: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a whole number of a message, from `least` to `most`.

    Raises:
        UsageError: it is missing, no whole number, or out of range.
    """
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(name)
    return value


def switch_of(content: Mapping[str, Any], name: str) -> bool:
    """Return a yes or no of a message.

    Raises:
        UsageError: it is neither.
    """
    value = content.get(name)
    if not isinstance(value, bool):
        raise _wrong(name)
    return value


def _wrong(name: str) -> UsageError:
    return UsageError(
        message("The page sent something that cannot be: {name}.", name=name),
        remedy=message("Load the page again."),
    )
