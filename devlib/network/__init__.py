"""Networks that can be asked for bindings: the simulator and Kamailio; and simulated phones for trials."""

from devlib.network.opening import open_network
from devlib.network.phones import Phone, PhoneFleet
from devlib.network.protocol import (
    CHECK_SYNC,
    WHOLE,
    Answers,
    Capabilities,
    Change,
    ChangeKind,
    FeedBack,
    FeedEvent,
    FeedLost,
    Health,
    Network,
    RegistrationSource,
    RestartAnswer,
    Restarter,
    RestartOutcome,
    network_form,
)
from devlib.network.reach import Prober, Reach, ReachOutcome
from devlib.network.simulator import Simulator
from devlib.network.simulator_devices import DeviceOf

__all__ = [
    "CHECK_SYNC",
    "WHOLE",
    "Answers",
    "Capabilities",
    "Change",
    "ChangeKind",
    "DeviceOf",
    "FeedBack",
    "FeedEvent",
    "FeedLost",
    "Health",
    "Network",
    "Phone",
    "PhoneFleet",
    "Prober",
    "Reach",
    "ReachOutcome",
    "RegistrationSource",
    "RestartAnswer",
    "RestartOutcome",
    "Restarter",
    "Simulator",
    "network_form",
    "open_network",
]
