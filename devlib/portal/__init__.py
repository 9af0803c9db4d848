"""What a signed-in identity may do: the public API of the suite."""

from devlib.portal.acts import ROLE_ACTS, Act
from devlib.portal.analysing import Analysing
from devlib.portal.changing import Changing
from devlib.portal.connecting import Portal, connect, sign_in
from devlib.portal.copying import restore
from devlib.portal.desk import Desk, Place
from devlib.portal.examining import Examining
from devlib.portal.following import Following
from devlib.portal.looking import Looking
from devlib.portal.organising import Organising
from devlib.portal.probing import Probing, reach_counts
from devlib.portal.reporting import Reporting
from devlib.portal.runbook_file import Runbook
from devlib.portal.running import RunbookRun, Running
from devlib.portal.services import Services, lake_place, open_services
from devlib.portal.viewing import VIEW_COLUMNS, LineView, Viewing

__all__ = [
    "ROLE_ACTS",
    "VIEW_COLUMNS",
    "Act",
    "Analysing",
    "Changing",
    "Desk",
    "Examining",
    "Following",
    "LineView",
    "Looking",
    "Organising",
    "Place",
    "Portal",
    "Probing",
    "Reporting",
    "Runbook",
    "RunbookRun",
    "Running",
    "Services",
    "Viewing",
    "connect",
    "lake_place",
    "open_services",
    "reach_counts",
    "restore",
    "sign_in",
]
