"""Commands that arrange providers, customers, sites, identities, and show the audit."""

from dataclasses import asdict

import pandas as pd

from devlib.cli.command import CUSTOMER, DONE, FAILED, Call, Command, argument
from devlib.errors import UsageError
from devlib.language import message
from devlib.model import Identity, Role, Scope


def provider(call: Call) -> None:
    """Add a provider, or switch its report."""
    given = call.arguments
    with call.open_portal() as portal:
        if given.export is None:
            portal.add_provider(given.name)
            text = message(
                "Added the service provider {name}. Its line-state report is off.", name=given.name
            )
        else:
            portal.switch_export(given.name, allowed=given.export == "on")
            text = message(
                "The line-state report of {name} is {switch}.", name=given.name, switch=given.export
            )
    call.out.record({"provider": given.name, "export": given.export}, text)


def customer(call: Call) -> None:
    """Add a customer."""
    given = call.arguments
    with call.open_portal() as portal:
        added = portal.add_customer(given.name, given.provider)
    values = {"customer": added.name, "provider": added.provider}
    call.out.record(values, message("Added the customer {customer} of {provider}.", **values))


def site(call: Call) -> None:
    """Add a site, or approve types for it."""
    given = call.arguments
    with call.open_portal() as portal:
        if given.approve_more:
            portal.approve_types(given.name, given.approve, given.customer)
        else:
            portal.add_site(given.name, given.customer, given.approve)
    values = {"site": given.name, "approved": given.approve}
    call.out.record(values, message("The site {site} is ready.", site=given.name))


def identity(call: Call) -> None:
    """Store an identity."""
    given = call.arguments
    sites = frozenset(given.site) if given.site else None
    if sites and given.customer is None:
        raise UsageError(
            message("Sites need their customer."),
            remedy=message("Give the customer too: --customer …"),
        )
    stored = Identity(given.name, Role(given.role), Scope(given.provider, given.customer, sites))
    with call.open_portal() as portal:
        portal.put_identity(stored)
    place = [stored.scope.provider, stored.scope.customer, *sorted(sites or ())]
    scope = " / ".join(name for name in place if name) or "*"
    values = {"principal": stored.principal, "role": stored.role.value, "scope": scope}
    call.out.record(values, message("{principal} is now {role}, for {scope}.", **values))


def audit(call: Call) -> int:
    """Show the newest audit entries, or check that all are as they were written."""
    if call.arguments.action == "verify":
        return _verify_audit(call)
    with call.open_portal() as portal:
        entries = portal.audit(call.arguments.last)
    names = ["at", "principal", "role", "act", "target", "outcome", "detail"]
    rows = [[getattr(each, name) for name in names] for each in entries]
    call.out.frame(pd.DataFrame(rows, columns=names))
    return DONE


def _verify_audit(call: Call) -> int:
    with call.open_portal() as portal:
        check = portal.verify_audit(call.arguments.digest)
    text = message(
        "The audit is whole: {entries} entries. Its chain ends with {digest}; note it elsewhere.",
        entries=check.entries,
        digest=check.digest,
    )
    if check.known is False:
        text = message("The digest that was noted is not in the chain: the audit was written anew.")
    if check.broken_at is not None:
        text = message(
            "The audit is broken: entry {number} is not as it was written.", number=check.broken_at
        )
    if check.broken_at == 0:
        text = message("The audit is broken: entries at its end are missing.")
    call.out.record({"whole": check.whole, **asdict(check)}, text)
    return DONE if check.whole else FAILED


_ROLES = [role.value for role in Role]
_PROVIDER = argument("--provider", help=message("name of the service provider"))

COMMANDS = (
    Command(
        "provider",
        message("add a service provider, or switch its line-state report"),
        provider,
        (
            argument("name", help=message("name of the service provider")),
            argument("--export", choices=("on", "off"), help=message("allow the line-state report or not")),
        ),
    ),
    Command(
        "customer",
        message("add a customer"),
        customer,
        (
            argument("name", help=message("name of the customer")),
            argument("--provider", required=True, help=message("name of the service provider")),
        ),
    ),
    Command(
        "site",
        message("add a site, with the device types approved for it"),
        site,
        (
            argument("name", help=message("name of the site")),
            CUSTOMER,
            argument(
                "--approve", action="append", default=[], metavar="TYPE",
                help=message("approve this type; may be repeated; without it, all types"),
            ),
            argument("--approve-more", action="store_true", help=message("the site exists: only approve")),
        ),
    ),
    Command(
        "identity",
        message("store who may act, with role and scope"),
        identity,
        (
            argument("name", help=message("account name")),
            argument("--role", required=True, choices=_ROLES, help=message("what it may do")),
            _PROVIDER,
            CUSTOMER,
            argument("--site", action="append", help=message("only this site; may be repeated")),
        ),
    ),
    Command(
        "audit",
        message("show who did what"),
        audit,
        (
            argument(
                "action", nargs="?", choices=("verify",),
                help=message("check that every entry is as it was written"),
            ),
            argument("--last", type=int, default=50, help=message("how many entries")),
            argument("--digest", default="", help=message("end of the chain as it was noted earlier")),
        ),
    ),
)  # fmt: skip
