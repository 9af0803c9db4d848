"""What one can do with a device: ask it now, restart, assign, release, remove; and add one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from devlib.collect import DeviceStatus, LineStatus
from devlib.errors import UsageError
from devlib.fleet import Restart, RestartResult
from devlib.language import Message, message, visible
from devlib.model import LineState, User
from devlib.portal import ROLE_ACTS, Act
from devlib.storage import NewLine
from devlib.ui.actions import Actions, Button, Field
from devlib.ui.link import LineQuery
from devlib.ui.page import Visit
from devlib.ui.words import state_word

_REBOOT_WAIT = 20.0
_GOOD = frozenset({RestartResult.CONFIRMED, RestartResult.ACCEPTED})


class DeviceActs:
    """The acts of one visit; what the role does not cover is not offered (and refused by the portal).

    Args:
        visit: who acts.
        changed: called after a change of the fleet.
    """

    def __init__(self, visit: Visit, changed: Callable[[], None]) -> None:
        self._visit = visit
        self._changed = changed
        self._mac = ""
        self._may = ROLE_ACTS[visit.portal.identity.role]
        words = visit.words
        self.of_device = Actions(visit.language, words(message("No device chosen")), self._act)
        self.adding = Actions(visit.language, words(message("Add a device")), self._add)

    def offer(
        self, customers: Sequence[str], sites: Sequence[str], types: Sequence[str], query: LineQuery
    ) -> None:
        """Offer sites and types for a new device."""
        words = self._visit.words
        if Act.ADD not in self._may:
            self.adding.offer([], title=words(message("Your role does not add devices.")))
            return
        names = tuple(customers) if query.customer is None else (query.customer,)
        self.adding.offer(
            [Button("add", words(message("Add")))],
            [
                Field("mac", words(message("MAC address")), needed=True),
                Field("customer", words(message("Customer")), names, needed=True),
                Field("site", words(message("Site")), tuple(sites), needed=True),
                Field("type", words(message("Device type")), tuple(types), needed=True),
                Field("name", words(message("Name"))),
            ],
        )

    def choose(self, row: Mapping[str, Any]) -> None:
        """Offer the acts for the device of a row."""
        self._mac = str(row["mac"])
        words, mac = self._visit.words, self._mac
        restart = message("Restart {mac}? Calls on it are cut off.", mac=mac)
        remove = message("Remove {mac} with its assigned lines? It cannot be undone.", mac=mac)
        release = message("Release this port of {mac}? Its user cannot call any more.", mac=mac)
        offered = (
            (Act.SEE, Button("status", words(message("Status now")))),
            (Act.REBOOT, Button("reboot", words(message("Restart")), words(restart))),
            (Act.ASSIGN, Button("assign", words(message("Assign a line")))),
            (Act.RELEASE, Button("release", words(message("Release a port")), words(release), danger=True)),
            (Act.REMOVE, Button("remove", words(message("Remove")), words(remove), danger=True)),
        )
        fields = [
            Field("port", words(message("Port")), kind="number"),
            Field("line_port", words(message("Line port (user@domain)"))),
            Field("user", words(message("User ID"))),
            Field("phone", words(message("Phone number"))),
        ]
        self.of_device.offer(
            [button for act, button in offered if act in self._may],
            fields if Act.ASSIGN in self._may else [],
            title=words(message("Device {mac}", mac=mac)),
        )

    def _act(self, name: str, values: Mapping[str, str]) -> None:
        panel, portal, mac = self.of_device, self._visit.portal, self._mac
        if name == "status":
            self._visit.later(lambda: portal.status(mac), self._status, panel)
        elif name == "reboot":
            self._visit.later(lambda: portal.reboot(mac, wait=_REBOOT_WAIT), self._restarted, panel)
        else:
            kind, text = {"assign": self._assign, "release": self._release, "remove": self._remove}[name](
                values
            )
            panel.say(kind, [self._visit.words(text), *self._warnings()])
            self._changed()

    def _status(self, found: DeviceStatus) -> None:
        words = self._visit.words
        self.of_device.say(_kind(found), [words(each) for each in status_sentences(found)])

    def _restarted(self, done: Restart) -> None:
        words = self._visit.words
        text = message("{mac}: {result}. {reason}", mac=done.device.mac, result=restart_words(done.result),
                       reason=done.reason or "")  # fmt: skip
        self.of_device.say("done" if done.result in _GOOD else "warning", [words(text)])

    def _assign(self, values: Mapping[str, str]) -> tuple[str, Message]:
        user = User(values["user"], phone_number=values["phone"])
        port = _port(values["port"]) if values["port"] else None
        line = self._visit.portal.assign(self._mac, NewLine(values["line_port"], user, port=port))
        return "done", message(
            "Port {port} of {mac} is {line_port}, held by {user}.",
            port=line.port, mac=line.mac, line_port=line.line_port, user=line.user.user_id,
        )  # fmt: skip

    def _release(self, values: Mapping[str, str]) -> tuple[str, Message]:
        line = self._visit.portal.release(self._mac, _port(values["port"]))
        return "done", message("Port {port} of {mac} is free again.", port=line.port, mac=line.mac)

    def _remove(self, _: Mapping[str, str]) -> tuple[str, Message]:
        device = self._visit.portal.remove(self._mac)
        self.of_device.offer([], title=self._visit.words(message("No device chosen")))
        return "done", message(
            "Removed {mac} from {site}, with {lines} assigned lines.",
            mac=device.mac, site=device.site, lines=len(device.lines),
        )  # fmt: skip

    def _add(self, _: str, values: Mapping[str, str]) -> None:
        added = self._visit.portal.add(
            values["mac"], values["site"], values["type"], customer=values["customer"], name=values["name"]
        )
        text = message("Added {mac}, {device_type}, at {site}.", mac=added.mac, device_type=added.device_type,
                       site=added.site)  # fmt: skip
        self.adding.say("done", [self._visit.words(text), *self._warnings()])
        self._changed()

    def _warnings(self) -> list[str]:
        found = [self._visit.words(each) for each in self._visit.portal.warnings]
        self._visit.portal.warnings.clear()
        return found


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 4:  # noqa: PLR2004 - no device has more
        raise UsageError(
            message("{text} is no port number.", text=visible(text)),
            remedy=message("Write the number of the port, from 1."),
        )
    return int(text)


def _kind(found: DeviceStatus) -> str:
    return "done" if found.state is LineState.REGISTERED else "warning"


def status_sentences(found: DeviceStatus) -> list[Message]:
    """Return the status of a device in sentences."""
    if found.state is None:
        return [message("No line of it is assigned to a user, so there is nothing to register.")]
    head = message(
        "{state}: {registered} of {assigned} lines registered (asked {network} at {at})",
        state=state_word(found.state),
        registered=found.registered,
        assigned=len(found.lines),
        network=found.network or "–",
        at=f"{found.observed_at:%H:%M:%S} UTC",
    )
    return [head, *(_line_sentence(each) for each in found.lines)]


def _line_sentence(each: LineStatus) -> Message:
    if each.reason is not None:
        return message("Port {port}, {line_port}: unknown. {reason}", port=each.line.port,
                       line_port=each.line.line_port, reason=each.reason)  # fmt: skip
    agent = each.binding.user_agent if each.binding else None
    return message("Port {port}, {line_port}: {state}. {agent}", port=each.line.port,
                   line_port=each.line.line_port, state=state_word(each.state),
                   agent=visible(agent or ""))  # fmt: skip


def restart_words(result: RestartResult) -> Message:
    """Return what became of a restart, in words."""
    return {
        RestartResult.CONFIRMED: message("confirmed: it registered again"),
        RestartResult.ACCEPTED: message("accepted, but it has not registered again yet"),
        RestartResult.AUTH_NEEDED: message("it asks for a login"),
        RestartResult.REFUSED: message("refused"),
        RestartResult.NO_ANSWER: message("no answer"),
        RestartResult.NOT_REGISTERED: message(
            "not registered, so it cannot be restarted through the network"
        ),
        RestartResult.UNROUTABLE: message("the network cannot route to it"),
        RestartResult.UNREACHABLE: message("the network cannot be reached"),
    }[result]
