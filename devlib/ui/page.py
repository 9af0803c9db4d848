"""The kernel's side of a dashboard: it knows nobody until the page brings a signed word of the server.

A warm kernel has its modules loaded and its store open, and has read nothing of any customer. The first
identity that greets it is its only one; another one is refused.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import ipywidgets
from IPython.core.getipython import get_ipython

from devlib.clock import SystemClock
from devlib.config import KernelPass, Settings, load_settings, take_kernel_pass
from devlib.errors import DevlibError, NotAllowed
from devlib.language import Language, Message, message
from devlib.portal import Portal, Services, connect, open_services, sign_in
from devlib.ui.session import claims_of
from devlib.ui.widget import Handler, Widget, text_of

Answer = TypeVar("Answer")

_LONGEST_LINK = 8_000


@dataclass
class Visit:
    """One visitor of one page.

    Args:
        portal: what the visitor may do.
        language: of everything shown.
        link: the query part of the page's address when it was opened.
        served: whether the dashboards' server shows the page; otherwise it is a notebook.
        door: the widget that knows the page.
    """

    portal: Portal
    language: Language
    link: str
    served: bool
    door: "Door"
    refreshers: list[Callable[[], None]] = field(default_factory=list)

    def words(self, text: Message) -> str:
        """Return a text in the visitor's language."""
        return text.in_language(self.language)

    def every_tick(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` again and again while somebody looks at the page."""
        self.refreshers.append(refresh)

    def later(self, question: Callable[[], Answer], show: Callable[[Answer], None], panel: Widget) -> None:
        """Ask something slow beside everything else, and show the answer when it is there.

        Args:
            question: asked in a thread of its own.
            show: called with the answer, in the kernel's own thread; not if the panel was asked again since.
            panel: the widget that waits for it; it says so, and shows the error if there is one.
        """
        asked = panel.wait()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a notebook that is run as a script has no loop to come back to
            self._answered(panel, asked, question, show)
            return
        if not self.served:
            self._answered(panel, asked, question, show)
            return
        future = loop.run_in_executor(None, question)
        future.add_done_callback(lambda done: self._answered(panel, asked, done.result, show))

    def _answered(
        self, panel: Widget, asked: int, answer: Callable[[], Answer], show: Callable[[Answer], None]
    ) -> None:
        try:
            found = answer()
            if panel.waits_for(asked):
                show(found)
                panel.stop_waiting()
        except DevlibError as error:
            if panel.waits_for(asked):
                panel.stop_waiting()
                panel.tell(error)

    def set_link(self, link: str) -> None:
        """Put filters into the page's address, so that it can be shared and survives a refresh."""
        self.door.send({"kind": "link", "link": link})


Build = Callable[[Visit], Sequence[ipywidgets.Widget]]


class Stack(ipywidgets.VBox):  # type: ignore[misc]
    """Widgets below each other; a browser cannot change which."""

    def set_state(self, sync_data: object) -> None:
        """Refuse what a browser wants to set."""


class Row(ipywidgets.Box):  # type: ignore[misc]
    """Widgets beside each other, below each other where there is no room; a browser cannot change which."""

    def set_state(self, sync_data: object) -> None:
        """Refuse what a browser wants to set."""


class Door(Widget):
    """Greets the visitor: takes the signed word of the page, and fills the page for that identity only.

    Args:
        build: makes the page's widgets.
        stack: where they go.
        services: of this home, open.
        given: what the server handed to this kernel.
        clock: for the end of signed words.
    """

    script = "page.js"

    def __init__(
        self, build: Build, stack: Stack, services: Services, given: KernelPass, language: Language
    ) -> None:
        self._build = build
        self._stack = stack
        self._services = services
        self._given = given
        self._visit: Visit | None = None
        super().__init__(language, _words())

    def handlers(self) -> Mapping[str, Handler]:
        """Return what the page may say: hello, and that somebody still looks."""
        return {"hello": self._hello, "tick": self._tick}

    def _hello(self, content: Mapping[str, Any], _: list[memoryview]) -> None:
        claims = claims_of(
            "session", text_of(content, "session", 4_000), self._given.key, self._services.clock.now()
        )
        if claims["kernel"] != self._given.kernel:
            raise NotAllowed(_elsewhere(), remedy=message("Load the page again."))
        if self._visit is not None:
            if self._visit.portal.identity.principal != claims["principal"]:
                raise NotAllowed(_elsewhere(), remedy=message("Load the page again."))
            self.send({"kind": "ready"})
            return
        language: Language = "fr" if claims["language"] == "fr" else "en"
        self.language = language
        self.texts = {name: self.words(text) for name, text in _words().items()}
        settings = self._services.settings.model_copy(update={"language": language})
        services = replace(self._services, settings=settings)
        portal = sign_in(services, claims["principal"], claims["session"])
        link = text_of(content, "link", _LONGEST_LINK)
        visit = Visit(portal, language, link, served=True, door=self)
        self._visit = visit
        self._stack.children = [self, *self._build(visit)]
        self.send({"kind": "ready"})

    def _tick(self, _: Mapping[str, Any], __: list[memoryview]) -> None:
        if self._visit is None:
            return
        try:
            for refresh in self._visit.refreshers:
                refresh()
        finally:
            # Also after an error: the kernel lives, which the page must be able to tell.
            self.send({"kind": "tock"})


def dashboard_of(build: Build) -> Stack:
    """Return a dashboard: on the dashboards' server one that waits for its visitor, in a notebook one at once.

    Args:
        build: makes its widgets for a visit.
    """
    stack = Stack()
    stack.add_class("dl-stack")
    given = take_kernel_pass()
    if given is None:
        return _in_notebook(build, stack)
    _close_other_ways()
    settings = load_settings()
    services = open_services(_small(settings), SystemClock())
    with services.lake.connection() as cursor:  # The engine starts now, not before the first visitor's eyes.
        cursor.execute("SELECT 1")
    stack.children = [Door(build, stack, services, given, settings.language)]
    return stack


def _in_notebook(build: Build, stack: Stack) -> Stack:
    settings = load_settings()
    nowhere = KernelPass(os.urandom(32), "")
    portal = connect(settings=settings)
    door = Door(build, stack, portal.services, nowhere, settings.language)
    visit = Visit(portal, settings.language, "", served=False, door=door)
    door._visit = visit  # noqa: SLF001 - the same page, greeted by nobody
    stack.children = [door, *build(visit)]
    return stack


def _small(settings: Settings) -> Settings:
    query = settings.query.model_copy(update={"memory": settings.dashboards.kernel_memory})
    return settings.model_copy(update={"query": query})


def _close_other_ways() -> None:
    """Let no browser make widgets of its own in this kernel."""
    shell = get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        manager = shell.kernel.comm_manager
        for name in list(manager.targets):
            if name != "jupyter.widget.control":
                manager.targets.pop(name, None)


def _elsewhere() -> Message:
    return message("This page belongs to somebody else's session.")


def _words() -> dict[str, Message]:
    return {
        "lost": message(
            "No connection to the server: the figures below stay as they were. Load the page again."
        ),
        "again": message("Load the page again"),
    }


__all__ = ["Build", "DevlibError", "Door", "Row", "Stack", "Visit", "dashboard_of"]
