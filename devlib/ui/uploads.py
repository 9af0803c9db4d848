"""A file from the browser, in pieces, into a temporary file; nothing of it is trusted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import traitlets

from devlib.errors import UsageError
from devlib.language import Language, Message, message
from devlib.ui.widget import Handler, Widget, number_of, text_of

PIECE = 1_000_000
LARGEST = 200_000_000

Arrived = Callable[[Path, str], None]


class Upload(Widget):
    """A place to drop a file.

    Args:
        language: of its texts.
        label: what the file is for.
        arrived: called with the path of the whole file and the name that the browser gave it.
    """

    script = "upload.js"

    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, language: Language, label: str, arrived: Arrived) -> None:
        self._arrived = arrived
        self._folder = TemporaryDirectory(prefix="devlib-upload-")
        self._path = Path(self._folder.name) / "upload.csv"
        self._file: BinaryIO | None = None
        self._size = 0
        self._name = ""
        super().__init__(language, _words(), label=label)

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the browser may send: the beginning of a file, its pieces."""
        return {"begin": self._begin, "piece": self._piece}

    def plain(self) -> str:
        """Return the label."""
        return self.label

    def _begin(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        self._stop()
        size = number_of(content, "size", 0, 2**53)
        if size > LARGEST:
            raise UsageError(
                message("The file is larger than {limit} MB.", limit=LARGEST // 1_000_000),
                remedy=message("Split it, or import it with the command: devlib import FILE"),
            )
        self._name = text_of(content, "name", 300)
        self._size = size
        self._file = self._path.open("wb")
        self._ask_on()

    def _piece(self, _: Mapping[str, Any], buffers: list[memoryview]) -> None:
        if self._file is None or len(buffers) != 1 or len(buffers[0]) > PIECE:
            self._stop()
            raise UsageError(message("The page sent something that cannot be: {name}.", name="piece"))
        self._file.write(buffers[0])
        if self._file.tell() > self._size:
            self._stop()
            raise UsageError(message("The page sent something that cannot be: {name}.", name="size"))
        self._ask_on()

    def _ask_on(self) -> None:
        assert self._file is not None  # noqa: S101 - both callers have it open
        there = self._file.tell()
        self.send({"kind": "more", "from": there, "size": self._size, "piece": PIECE})
        if there == self._size:
            self._stop()
            self._arrived(self._path, self._name)

    def _stop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _words() -> dict[str, Message]:
    return {
        "choose": message("Choose a file"),
        "drop": message("or drop it here"),
        "sending": message("The file is being sent…"),
        "sent": message("{name} has arrived.", name="{name}"),
    }
