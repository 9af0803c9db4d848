"""A button that hands a file of the kernel to the browser, in pieces, without a server of its own."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from devlib.errors import StorageUnavailable
from devlib.language import Language, Message, message
from devlib.ui.widget import Handler, Widget, number_of
from devlib.validation import neutralise_text

Source = bytes | str | Path | pd.DataFrame | Callable[[], "bytes | Path"]

_PIECE = 1_000_000


class Download(Widget):
    """A button; the file is made when it is pressed, and travels in pieces of 1 MB.

    Dashboards take the server's own download for line-state reports; this one is for what a notebook holds.

    Args:
        source: bytes, text, a path, a frame (as CSV, formulas made harmless), or a function that gives one.
        name: file name that the browser proposes.
        language: of its texts.
        label: on the button; by default it names the file.
    """

    script = "download.js"

    name = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, source: Source, name: str, language: Language, label: str | None = None) -> None:
        self._source = source
        self._held = b""
        shown = label or message("Download {name}", name=name).in_language(language)
        super().__init__(language, _words(), name=name, label=shown)

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may ask for: the start, and each piece."""
        return {"begin": self._begin, "piece": self._piece}

    def plain(self) -> str:
        """Return the label."""
        return self.label

    def content(self) -> bytes:
        """Return the whole file.

        Raises:
            StorageUnavailable: it cannot be read.
        """
        source = self._source() if callable(self._source) else self._source
        if isinstance(source, pd.DataFrame):
            return csv_of(source)
        if isinstance(source, str):
            return source.encode()
        if isinstance(source, Path):
            return _read(source)
        return source

    def _begin(self, _: Mapping[str, Any], __: list[memoryview]) -> None:
        self._held = self.content()
        self.send({"kind": "begin", "size": len(self._held), "piece": _PIECE})

    def _piece(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        place = number_of(content, "place", 0, len(self._held) // _PIECE)
        piece = self._held[place * _PIECE : (place + 1) * _PIECE]
        self.send({"kind": "piece", "place": place}, buffers=[piece])
        if (place + 1) * _PIECE >= len(self._held):
            self._held = b""


def csv_of(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV whose texts no spreadsheet runs as formulas (OWASP, CSV injection)."""
    safe = frame.map(lambda value: neutralise_text(value) if isinstance(value, str) else value)
    target = io.StringIO()
    safe.rename(columns=lambda name: neutralise_text(str(name))).to_csv(target, index=False)
    return target.getvalue().encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageUnavailable(
            message("The file cannot be read: {error}", error=error.strerror),
            where=path.name,
            remedy=message("Make it again, then press the button again."),
        ) from None


def _words() -> dict[str, Message]:
    return {
        "fetching": message("The file is being fetched…"),
        "done": message("The file is with your browser: {name}", name="{name}"),
    }
