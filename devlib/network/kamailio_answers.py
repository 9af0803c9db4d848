"""What Kamailio's `usrloc` answers mean (SIP study §2); every text in them is hostile."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from devlib.model import Binding
from devlib.network.hostile import USER_AGENT_LIMIT, clean_integer, clean_moment, clean_text
from devlib.network.json_rpc import RpcAnswer

_MOST_CONTACTS = 64
_LONGEST_UPTIME = 100 * 365 * 86_400  # seconds
_GONE = frozenset({"expired", "deleted"})


class Unreadable(ValueError):
    """A contact or an answer that has not the form that Kamailio gives it."""


def holds_none(fault: str) -> bool:
    """Return whether a fault of `ul.lookup` says that the line port has no binding.

    Every fault has code 500; only the text tells them apart.
    """
    return fault.startswith(("AOR not found", "AOR has no contacts"))


def read_bindings(result: object, line_port: str, registrar: str, now: int) -> tuple[Binding, ...]:
    """Return the live bindings in the result of `ul.lookup`.

    Args:
        result: any JSON.
        line_port: as the caller wrote it.
        registrar: name of the network.
        now: seconds since 1970; Kamailio gives what is left of each binding.

    Raises:
        Unreadable: it has not the form that Kamailio gives it; a guess could show a line as unregistered.
    """
    try:
        entries = result["Contacts"][:_MOST_CONTACTS]  # type: ignore[index]
        found = [_read_contact(entry["Contact"], line_port, registrar, now) for entry in entries]
    except (TypeError, KeyError, IndexError, AttributeError):
        raise Unreadable(line_port) from None
    return tuple(binding for binding in found if binding is not None)


def _read_contact(contact: dict[str, Any], line_port: str, registrar: str, now: int) -> Binding | None:
    expires = contact["Expires"]
    if expires.__class__ is int:
        if expires <= 0:
            return None
        expires_at = clean_moment(now + expires)
        if expires_at is None:
            raise Unreadable(line_port)
    elif expires == "permanent":
        expires_at = None
    elif isinstance(expires, str) and expires in _GONE:
        return None
    else:
        raise Unreadable(line_port)
    get = contact.get
    instance = clean_text(get("Instance"))
    return Binding(
        line_port,
        clean_text(get("Address")) or "",
        expires_at,
        clean_moment(get("Last-Modified")),
        clean_text(get("User-Agent"), USER_AGENT_LIMIT),
        clean_text(get("Received")),
        clean_text(get("Call-ID")),
        clean_integer(get("CSeq")),
        instance.strip("<>") if instance else None,
        clean_text(get("Path")),
        registrar,
    )


def read_dump(result: object, registrar: str, now: int) -> Iterator[Binding]:
    """Yield the live bindings in the result of `ul.dump`; single contacts that make no sense are left out.

    Raises:
        Unreadable: the frame has not the form that Kamailio gives it.
    """
    try:
        domains = [entry["Domain"]["AoRs"] for entry in result["Domains"]]  # type: ignore[index]
        entries = [info for aors in domains for info in aors]
    except (TypeError, KeyError, IndexError):
        raise Unreadable("ul.dump") from None
    for entry in entries:
        info = entry.get("Info") if isinstance(entry, dict) else None
        line_port = clean_text(info.get("AoR")) if isinstance(info, dict) else None
        if line_port is None:
            continue
        try:
            yield from read_bindings(info, line_port, registrar, now)
        except Unreadable:
            continue


def next_hop(result: object) -> str | None:
    """Return the registrar's own SIP address, as the newest contact of `ul.lookup` names it.

    A NOTIFY goes through it to the line port, so that the registrar's own routing reaches phones behind
    NAT, on TCP or behind a proxy (SIP study §4).
    """
    try:
        socket = result["Contacts"][0]["Contact"]["Socket"]  # type: ignore[index]
        transport, host, port = socket.split(":")
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        return None
    plain = host.replace(".", "").replace("-", "").isalnum() and port.isdigit() and socket.isascii()
    if transport not in ("udp", "tcp", "tls") or not plain:
        return None
    return f"sip:{host}:{port};transport={transport}"


def uptime(answer: RpcAnswer, now: datetime) -> datetime:
    """Return when the registrar started, as `core.uptime` tells; whole seconds.

    Args:
        answer: of `core.uptime`.
        now: when it had arrived, UTC.

    Raises:
        Unreadable: it has not the form that Kamailio gives it.
    """
    result = answer.result
    seconds = clean_integer(result.get("uptime")) if isinstance(result, dict) else None
    if seconds is None or seconds > _LONGEST_UPTIME:
        raise Unreadable("core.uptime")
    return now - timedelta(seconds=seconds)
