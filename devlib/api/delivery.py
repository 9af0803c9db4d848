"""Files as HTTP answers: streamed piece by piece, with ranges, or compressed on the way."""

import re
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import zstandard
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from devlib.api.problems import plain_problem
from devlib.language import message

_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_ZSTD_LEVEL, _GZIP_LEVEL = 3, 1
_GZIP_FORM = 31  # zlib's number for gzip's header and the largest window


@dataclass(frozen=True, slots=True)
class Delivered:
    """A finished file that never changes.

    Args:
        path: the file.
        kind: its media type.
        tag: a name that no other content has.
        changed_at: the time of the data, UTC.
    """

    path: Path
    kind: str
    tag: str
    changed_at: datetime


def deliver(
    request: Request, file: Delivered, headers: dict[str, str], after: BackgroundTask | None = None
) -> Response:
    """Return the answer with a file, or the part of it that is asked for.

    A range is served from the file as it is (RFC 9110 §14); only whole files are compressed.

    Args:
        request: with `Range`, `If-Range`, `If-None-Match` and `Accept-Encoding`.
        file: what to send.
        headers: more of them.
        after: done when everything is sent.
    """
    size = file.path.stat().st_size
    coding = "" if "range" in request.headers else coding_of(request.headers.get("accept-encoding", ""))
    tag = f'"{file.tag}{"-" + coding if coding else ""}"'
    given = {
        "ETag": tag,
        "Last-Modified": format_datetime(file.changed_at, usegmt=True),
        "Vary": "Accept-Encoding",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{file.path.name}"',
        **headers,
    }
    if tag in [each.strip() for each in request.headers.get("if-none-match", "").split(",")]:
        return Response(None, HTTPStatus.NOT_MODIFIED, given, background=after)
    if coding:
        given["Content-Encoding"] = coding
        return StreamingResponse(_compressed(file.path, coding), 200, given, file.kind, after)
    try:
        part = _part(request, size, tag)
    except ValueError:
        what = message("The file has no such range.")
        unsatisfied = {"Content-Range": f"bytes */{size}"}
        return plain_problem(request, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, what, unsatisfied)
    start, end = part or (0, size)
    given["Content-Length"] = str(end - start)
    if part is not None:
        given["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    return StreamingResponse(_pieces(file.path, start, end), status, given, file.kind, after)


def coding_of(accepted: str) -> str:
    """Return the content coding to use out of `Accept-Encoding`: zstd, gzip, or empty for none."""
    wished: dict[str, float] = {}
    for part in accepted[:500].split(","):
        name, _, weight = part.partition(";q=")
        try:
            wished[name.strip().lower()] = float(weight) if weight else 1.0
        except ValueError:
            continue
    return max(("zstd", "gzip"), key=lambda name: wished.get(name, 0.0)) if _any_coding(wished) else ""


def _any_coding(wished: dict[str, float]) -> bool:
    best = max(wished.get("zstd", 0.0), wished.get("gzip", 0.0))
    return best > 0 and best >= wished.get("identity", 0.0)


def _part(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """Return start and end of the wanted part; `None` for the whole file.

    Raises:
        ValueError: the file does not reach that far.
    """
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    condition = request.headers.get("if-range")
    if found is None or not (found[1] or found[2]) or condition not in (None, tag):
        return None  # a range that one does not understand is ignored (RFC 9110 §14.2)
    if not found[1]:
        length = int(found[2])
        if length == 0 or size == 0:
            raise ValueError("nothing")
        return max(0, size - length), size
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return None
    if start >= size:
        raise ValueError("beyond the end")
    return start, end


async def _pieces(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    file = await run_in_threadpool(path.open, "rb")
    try:
        await run_in_threadpool(file.seek, start)
        left = end - start
        while left > 0 and (piece := await run_in_threadpool(file.read, min(_PIECE, left))):
            left -= len(piece)
            yield piece
    finally:
        await run_in_threadpool(file.close)


async def _compressed(path: Path, coding: str) -> AsyncIterator[bytes]:
    compress, finish = _compressor(coding)
    file = await run_in_threadpool(path.open, "rb")
    try:
        while (piece := await run_in_threadpool(_next_piece, file, compress)) is not None:
            if piece:
                yield piece
        yield await run_in_threadpool(finish)
    finally:
        await run_in_threadpool(file.close)


def _next_piece(file: BinaryIO, compress: Callable[[bytes], bytes]) -> bytes | None:
    raw = file.read(_PIECE)
    return compress(raw) if raw else None


def _compressor(coding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
        return zstd.compress, zstd.flush
    gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORM)
    return gzip.compress, gzip.flush
