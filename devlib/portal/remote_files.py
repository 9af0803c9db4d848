"""Acts with files over HTTP: exports that wait in a queue far away, device lists, bulk files, templates."""

import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from devlib.clock import Clock, SystemClock
from devlib.collect import Progress as OnAsked
from devlib.errors import DevlibError, NetworkUnreachable, TryLater, UsageError
from devlib.export import DeviceListFile, OnProgress, Progress, ReportFile, ReportRequest
from devlib.fleet import ImportMode, ImportReport
from devlib.language import Language, message
from devlib.model import LineState
from devlib.network.service_client import ServiceAnswer, ServiceClient
from devlib.portal.changing import refuse_overwriting
from devlib.portal.wire import decode, encode
from devlib.storage import write_whole

_LONG_POLL = 1
_PATIENCE = 120.0
"""Seconds for which a service that is away (it is started anew, say) is asked again."""


class RemoteFiles:
    """The acts of a portal that take or give files, done by a service."""

    _client: ServiceClient
    _language: Language
    _clock: Clock = SystemClock()

    def _ask(self, verb: str, path: str, **more: Any) -> ServiceAnswer:  # noqa: ANN401
        raise NotImplementedError

    def _require_good(self, answer: ServiceAnswer) -> None:
        raise NotImplementedError

    def export_line_states(
        self,
        request: ReportRequest,
        folder: Path,
        *,
        from_snapshot: bool = False,
        progress: OnAsked | None = None,
        waiting: OnProgress | None = None,
        idempotency: str = "",
    ) -> ReportFile:
        """Write the line-state report into `folder`; see `Portal.export_line_states`."""
        order = {**encode(request), **encode(request.line_filter), "from_snapshot": from_snapshot}
        del order["line_filter"]
        # A key of our own: where the answer is lost, asking again does not export twice.
        headers = {"Idempotency-Key": idempotency or uuid4().hex}
        accepted = self._asked_again("POST", "/v1/exports", values=order, headers=headers).values()
        place = str(accepted["self"])
        try:
            state = self._await_end(place, accepted, progress, waiting)
        except BaseException:
            # Ctrl+C, a closed tab: nobody waits any more, so the export is given up.
            self._give_up(place)
            raise
        return self._fetched(place, state, folder)

    def _await_end(
        self,
        place: str,
        state: Mapping[str, Any],
        progress: OnAsked | None,
        waiting: OnProgress | None,
    ) -> Mapping[str, Any]:
        while state["state"] in ("waiting", "running"):
            if progress is not None and state["done"]:
                progress(state["done"], state["total"])
            elif waiting is not None and not state["done"]:
                waiting(Progress(state["place"], state["seconds_to_go"], state["delayed"]))
            state = self._asked_again("GET", place, query={"wait": _LONG_POLL}).values()
        if progress is not None and state["done"]:
            progress(state["done"], state["total"])
        return state

    def _asked_again(self, verb: str, path: str, **more: Any) -> ServiceAnswer:  # noqa: ANN401
        """Ask as `_ask` does, and again for a while where nobody answers: the export is not lost."""
        until = self._clock.monotonic() + _PATIENCE
        pause = 0.2
        while True:
            try:
                return self._ask(verb, path, **more)
            except NetworkUnreachable:
                if verb == "POST" or self._clock.monotonic() > until:
                    raise
                self._clock.sleep(pause)
                pause = min(pause * 2, 5.0)

    def _give_up(self, place: str) -> None:
        try:
            self._client.send("DELETE", place)
        except DevlibError:
            return  # the reason for giving up matters more; an old export is forgotten by itself

    def _fetched(self, place: str, state: Mapping[str, Any], folder: Path) -> ReportFile:
        target = folder / _safe_name(str(state["file_name"]))
        self._download(f"{place}/file", target)
        self._give_up(place)  # fetched: the service need not keep it
        states = {each: int(state["states"].get(each.value, 0)) for each in LineState}
        observed_at = datetime.fromisoformat(state["observed_at"])
        return ReportFile(
            target, int(state["rows"]), states, observed_at, shared=state["shared"], age=state["age"]
        )

    def _download(self, path: str, target: Path, query: Mapping[str, Any] | None = None) -> ServiceAnswer:
        answers: list[ServiceAnswer] = []

        def write(temporary: Path) -> None:
            answer = self._client.fetch(path, temporary, query)
            self._require_good(answer)
            answers.append(answer)

        write_whole(target, write)
        return answers[0]

    def export_devices(
        self,
        folder: Path,
        customer: str | None = None,
        site: str | None = None,
        *,
        columns: tuple[str, ...] = (),
        language: Language | None = None,
    ) -> DeviceListFile:
        """Write the device list into `folder`; see `Portal.export_devices`."""
        words = language or self._language
        query = {"customer": customer, "site": site, "columns": list(columns), "language": words}
        sent = {name: each for name, each in query.items() if each}
        # The name of the file comes with it.
        temporary = folder / f".devices.{uuid4().hex[:8]}.fetching"
        try:
            answer = self._download("/v1/device-list", temporary, sent)
            target = folder / _safe_name(_file_name(answer))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return DeviceListFile(target, int(answer.headers["devlib-rows"]))

    def import_devices(
        self,
        source: Path | BinaryIO,
        *,
        customer: str | None = None,
        mode: ImportMode = ImportMode.ALL_OR_NOTHING,
        result: Path | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> ImportReport:
        """Import devices from a bulk file; see `Portal.import_devices`."""
        refuse_overwriting(source, result)
        if result is not None and not result.parent.is_dir():
            raise UsageError(
                message(
                    "The result file cannot be written: {error}", error=message("there is no such folder")
                ),
                where=str(result),
            )
        opened = _opened(source) if isinstance(source, Path) else source
        query = {"customer": customer, "mode": mode.value, "result": "true" if result is not None else None}
        try:
            answer = self._ask(
                "POST",
                "/v1/imports",
                body=opened,
                query={name: each for name, each in query.items() if each is not None},
                headers={"Content-Type": "text/csv"},
            )
        finally:
            if isinstance(source, Path):
                opened.close()
        values = answer.values()
        if result is not None:
            text = str(values["result_text"])
            write_whole(result, lambda temporary: _write_text(temporary, text))
        if progress is not None:
            progress(int(values["rows"]), int(values["rows"]))
        values["result"] = None if result is None else str(result)
        report: ImportReport = decode(ImportReport, values)
        return report

    def template(self, folder: Path, customer: str | None = None) -> list[Path]:
        """Write the bulk template and what belongs to it into `folder`; see `Portal.template`."""
        answer = self._ask("GET", "/v1/template", query={"customer": customer} if customer else None)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            for each in archive.infolist():
                target = folder / _safe_name(each.filename)
                content = archive.read(each)
                write_whole(target, _writer(content))
                written.append(target)
        return written


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise UsageError(
            message("The file cannot be read: {error}", error=error.strerror), where=str(source)
        ) from None


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _writer(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def _file_name(answer: ServiceAnswer) -> str:
    return answer.headers.get("content-disposition", "").partition('filename="')[2].partition('"')[0]


def _safe_name(name: str) -> str:
    """Return the name of a file that the service sent: a name in the folder, and nothing beyond."""
    if not name or Path(name).name != name or name.startswith("."):
        raise TryLater(message("The service gave the file a name that cannot be used."))
    return name
