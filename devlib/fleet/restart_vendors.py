"""How each vendor's devices are asked to restart: Event header, login, boot time, and where that is written.

The events are those of FusionPBX's event table, the samples of Asterisk and the vendors' guides (domain study
§4). No vendor publishes boot times: the SIP study (§4) found 60 to 300 s, depending on the model, so each
kind of device has a cautious figure of that span.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from devlib.language import Message, message
from devlib.model import DeviceKind, DeviceType

REBOOT = "check-sync;reboot=true"
PLAIN = "check-sync"

_BOOT_SECONDS: Mapping[DeviceKind, float] = {
    DeviceKind.DESK: 120.0,
    DeviceKind.CONFERENCE: 180.0,
    DeviceKind.ATA: 90.0,
    DeviceKind.DECT_BASE: 240.0,  # its handsets register only once they have found it again
}
_UNKNOWN_BOOT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class VendorProfile:
    """How devices of one vendor restart.

    Args:
        event: Event header of the NOTIFY.
        asks_login: whether they are expected to challenge it with the digest login of the line.
        source: where that is written.
        note: what people should know; `None` for nothing.
    """

    event: str
    asks_login: bool
    source: str
    note: Message | None = None


_FUSION = "FusionPBX event table"

VENDOR_PROFILES: Mapping[str, VendorProfile] = {
    "Aastra": VendorProfile(REBOOT, False, f"{_FUSION}; Asterisk pjsip_notify.conf.sample (they differ)"),
    "Algo": VendorProfile(REBOOT, False, _FUSION),
    "Cisco": VendorProfile(
        PLAIN,
        True,
        f"{_FUSION}; Asterisk pjsip_notify.conf.sample; Auth_Resync-Reboot in wazo-provd templates",
        message("It asks for the login of the line unless its configuration switches that off."),
    ),
    "Fanvil": VendorProfile(REBOOT, False, _FUSION),
    "Gigaset": VendorProfile(
        REBOOT,
        False,
        "teamwork.gigaset.com",
        message("It obeys from firmware 2.52 on (N610, N670, N870), and only where that is switched on."),
    ),
    "Grandstream": VendorProfile(REBOOT, False, _FUSION),
    "Htek": VendorProfile(REBOOT, False, _FUSION),
    "Mitel": VendorProfile(REBOOT, False, f"{_FUSION}; Asterisk pjsip_notify.conf.sample (they differ)"),
    "Panasonic": VendorProfile(REBOOT, False, f"{_FUSION}; Asterisk pjsip_notify.conf.sample (they differ)"),
    "Poly": VendorProfile(
        PLAIN,
        False,
        f"{_FUSION}; notes of the sip-notify gem",
        message("It restarts only if its configuration changed, or with checkSync.alwaysReboot=1."),
    ),
    "Sangoma": VendorProfile(REBOOT, False, _FUSION),
    "Snom": VendorProfile(REBOOT, False, f"{_FUSION}; Asterisk pjsip_notify.conf.sample; wazo-provd-plugins"),
    "Yealink": VendorProfile(
        REBOOT,
        False,
        f"{_FUSION}; Yealink administrator's guide, sip.notify_reboot_enable",
        message("It restarts unless its sip.notify_reboot_enable is 2."),
    ),
}

UNKNOWN_VENDOR = VendorProfile(REBOOT, False, "the event that most vendors of this table obey")
"""What a device of a vendor without a profile is sent; one that does not know it refuses or only reads its
configuration again."""


def profile_of(kind: DeviceType | None) -> VendorProfile:
    """Return the profile of a device type; that of unknown vendors where the catalogue lacks it."""
    return VENDOR_PROFILES.get(kind.vendor, UNKNOWN_VENDOR) if kind else UNKNOWN_VENDOR


def boot_seconds_of(kind: DeviceType | None) -> float:
    """Return the seconds within which a device of this type should be back after its NOTIFY."""
    return _BOOT_SECONDS[kind.kind] if kind else _UNKNOWN_BOOT_SECONDS
