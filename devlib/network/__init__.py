"""Networks that can be asked for bindings: the simulator and Kamailio; and simulated phones for trials."""

from devlib.network.examining import Examined, Part, capability_words, examine
from devlib.network.loopback import require_loopback
from devlib.network.opening import open_network
from devlib.network.phone_behaviour import AfterNotify, Challenge, Heard, Phone
from devlib.network.phone_trial import (
    Cast,
    Parts,
    Trial,
    TrialLine,
    cast,
    made_up_lines,
    trial_line,
    with_own_instance,
)
from devlib.network.phones import PhoneFleet
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
from devlib.network.sip_digest import Credentials

__all__ = [
    "CHECK_SYNC",
    "WHOLE",
    "AfterNotify",
    "Answers",
    "Capabilities",
    "Cast",
    "Challenge",
    "Change",
    "ChangeKind",
    "Credentials",
    "DeviceOf",
    "Examined",
    "FeedBack",
    "FeedEvent",
    "FeedLost",
    "Health",
    "Heard",
    "Network",
    "Part",
    "Parts",
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
    "Trial",
    "TrialLine",
    "capability_words",
    "cast",
    "examine",
    "made_up_lines",
    "network_form",
    "open_network",
    "require_loopback",
    "trial_line",
    "with_own_instance",
]
