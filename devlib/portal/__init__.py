"""What a signed-in identity may do: the public API of the suite."""

from devlib.portal.acts import ROLE_ACTS, Act
from devlib.portal.analysing import Analysing
from devlib.portal.changing import Changing
from devlib.portal.connecting import Portal, connect
from devlib.portal.desk import Desk, Place
from devlib.portal.examining import Examining
from devlib.portal.following import Following
from devlib.portal.looking import Looking
from devlib.portal.organising import Organising
from devlib.portal.probing import Probing, reach_counts
from devlib.portal.reporting import Reporting
from devlib.portal.services import Services, open_services

__all__ = [
    "ROLE_ACTS",
    "Act",
    "Analysing",
    "Changing",
    "Desk",
    "Examining",
    "Following",
    "Looking",
    "Organising",
    "Place",
    "Portal",
    "Probing",
    "Reporting",
    "Services",
    "connect",
    "open_services",
    "reach_counts",
]
