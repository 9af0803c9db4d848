"""What each role may do, and the border at which every act is authorised and audited."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from devlib.errors import DevlibError, ExportFailed, NotAllowed
from devlib.language import message
from devlib.model import Identity, Role
from devlib.storage import Inventory, NewAuditEntry


class Act(StrEnum):
    """Everything that can be done through the portal."""

    SEE = "see"
    QUERY = "query"
    EXPORT = "export"
    COLLECT = "collect"
    ADD = "add"
    REMOVE = "remove"
    ASSIGN = "assign"
    RELEASE = "release"
    IMPORT = "import"
    REBOOT = "reboot"
    PROBE = "probe"
    ORGANISE = "organise"
    RELEASE_EXPORT = "release export"
    SWITCH_EXPORT = "switch export"
    SEE_AUDIT = "see audit"
    MANAGE_TOKENS = "manage tokens"
    COMPACT = "compact"
    COPY = "copy"
    RUNBOOK = "runbook"


# A runbook may be started by anybody: each of its acts is authorised for itself.
_LOOKING = frozenset({Act.SEE, Act.QUERY, Act.EXPORT, Act.RUNBOOK})
_KEEPING = _LOOKING | {
    Act.COLLECT,
    Act.ADD,
    Act.REMOVE,
    Act.ASSIGN,
    Act.RELEASE,
    Act.IMPORT,
    Act.REBOOT,
    Act.PROBE,
}

ROLE_ACTS: dict[Role, frozenset[Act]] = {
    Role.VIEWER: _LOOKING,
    Role.CUSTOMER_ADMINISTRATOR: _KEEPING,
    Role.OPERATOR: _KEEPING
    | {Act.ORGANISE, Act.SEE_AUDIT, Act.RELEASE_EXPORT, Act.MANAGE_TOKENS, Act.COMPACT},
    Role.SERVICE_PROVIDER: frozenset(Act),
}


def may_stand_for(one: Identity, other: Identity) -> bool:
    """Return whether `one` may do everything that `other` may: its acts, in its scope."""
    return ROLE_ACTS[other.role] <= ROLE_ACTS[one.role] and other.scope.lies_within(one.scope)


@dataclass(slots=True)
class Doing:
    """An act under way; what is noted here goes into the audit."""

    detail: str = ""

    def note(self, text: str) -> None:
        """Add to the detail."""
        self.detail = f"{self.detail}; {text}" if self.detail else text

    def fail(self, error: BaseException) -> str:
        """Keep what ended the act, and return the outcome."""
        name = type(error).__name__
        self.note(f"{name}: {error.what}" if isinstance(error, DevlibError) else name)
        # What the network or the disk said is left out of what people are told, not of the audit.
        if isinstance(error, ExportFailed) and error.__cause__ is not None:
            self.note(f"{type(error.__cause__).__name__}: {error.__cause__}")
        if isinstance(error, KeyboardInterrupt):
            return "stopped"
        return "refused" if isinstance(error, NotAllowed) else "failed"


class Gate:
    """Authorises each act of one identity and writes each into the audit, refused ones too.

    Args:
        inventory: holds the audit.
        identity: who acts.
        read: gives the identity as it is stored now; `None` for one that is not from the store.
        by: who acts in the identity's name, if not itself.
        via: what the audit names in the place of the login session, such as a token.
    """

    def __init__(
        self,
        inventory: Inventory,
        identity: Identity,
        read: Callable[[], Identity] | None = None,
        by: str = "",
        via: str = "",
    ) -> None:
        self._inventory = inventory
        self.identity = identity
        self._read = read
        self._by = by
        self._via = via

    @contextmanager
    def act(self, act: Act, target: str = "") -> Iterator[Doing]:
        """Authorise `act`, run the block, and audit how it ended.

        Args:
            act: what is done.
            target: on what: a MAC, a site, a file.

        Raises:
            NotAllowed: the role does not cover the act, or the identity is no longer stored.
        """
        doing = Doing()
        try:
            self.authorise(act)
            yield doing
        except BaseException as error:
            outcome = doing.fail(error)
            # A failing audit must not hide why the act failed.
            with suppress(Exception):
                self.record(act, target, outcome, doing.detail)
            raise
        self.record(act, target, "done", doing.detail)

    def authorise(self, act: Act) -> None:
        """Read the identity again, and check that its role covers `act`.

        Raises:
            NotAllowed: it does not, or the identity is no longer stored.
        """
        if self._read is not None:
            self.identity = self._read()
        if act not in ROLE_ACTS[self.identity.role]:
            raise NotAllowed(
                message(
                    "{principal} may not do this ({act}) as {role}.",
                    principal=self.identity.principal,
                    act=act.value,
                    role=self.identity.role.value,
                ),
                remedy=message("Ask the service provider for a role that covers it."),
            )

    def record(self, act: Act, target: str, outcome: str, detail: str = "") -> None:
        """Write one entry into the audit."""
        principal = self.identity.principal
        entry = NewAuditEntry(
            at=self._inventory.clock.now(),
            principal=f"{principal} (by {self._by})" if self._by else principal,
            role=self.identity.role.value,
            session=self._via or self.identity.session_key,
            act=act.value,
            target=target[:500],
            outcome=outcome,
            detail=detail[:2000],
        )
        self._inventory.audit(entry)
