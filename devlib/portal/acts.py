"""What each role may do, and the border at which every act is authorised and audited."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from devlib.errors import DevlibError, NotAllowed
from devlib.language import message
from devlib.model import Identity, Role
from devlib.storage import Inventory


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
    ORGANISE = "organise"
    RELEASE_EXPORT = "release export"
    SWITCH_EXPORT = "switch export"
    SEE_AUDIT = "see audit"


_LOOKING = frozenset({Act.SEE, Act.QUERY, Act.EXPORT})
_KEEPING = _LOOKING | {Act.COLLECT, Act.ADD, Act.REMOVE, Act.ASSIGN, Act.RELEASE, Act.IMPORT, Act.REBOOT}

ROLE_ACTS: dict[Role, frozenset[Act]] = {
    Role.VIEWER: _LOOKING,
    Role.CUSTOMER_ADMINISTRATOR: _KEEPING,
    Role.OPERATOR: _KEEPING | {Act.ORGANISE, Act.SEE_AUDIT, Act.RELEASE_EXPORT},
    Role.SERVICE_PROVIDER: frozenset(Act),
}


@dataclass(slots=True)
class Doing:
    """An act under way; what is noted here goes into the audit."""

    detail: str = ""


class Gate:
    """Authorises each act of one identity and writes each into the audit, refused ones too.

    Args:
        inventory: holds the audit.
        identity: who acts.
    """

    def __init__(self, inventory: Inventory, identity: Identity) -> None:
        self._inventory = inventory
        self.identity = identity

    @contextmanager
    def act(self, act: Act, target: str = "") -> Iterator[Doing]:
        """Authorise `act`, run the block, and audit how it ended.

        Args:
            act: what is done.
            target: on what: a MAC, a site, a file.

        Raises:
            NotAllowed: the role does not cover the act.
        """
        doing = Doing()
        outcome = "failed"
        try:
            self._authorise(act)
            yield doing
            outcome = "done"
        except DevlibError as error:
            outcome = "refused" if isinstance(error, NotAllowed) else "failed"
            doing.detail = doing.detail or f"{type(error).__name__}: {error.what}"
            raise
        finally:
            self._audit(act, target, outcome, doing.detail)

    def _authorise(self, act: Act) -> None:
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

    def _audit(self, act: Act, target: str, outcome: str, detail: str) -> None:
        with self._inventory.write() as writer:
            writer.audit(
                principal=self.identity.principal,
                role=self.identity.role.value,
                session=self.identity.session_key,
                act=act.value,
                target=target[:500],
                outcome=outcome,
                detail=detail[:2000],
            )
