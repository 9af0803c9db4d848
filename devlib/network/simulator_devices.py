"""What simulated phones say of themselves: user agents and instances of real ones (SIP study §8)."""

from collections.abc import Callable
from dataclasses import dataclass

from devlib.network.hostile import USER_AGENT_LIMIT, clean_text

DeviceOf = Callable[[str], tuple[str, str] | None]
"""From a line port to the name of its device type ("Yealink T46S") and its MAC in any form, if known."""

_FLEET = (
    ("Cisco 8851", "2C3124"),
    ("Cisco 7841", "00562B"),
    ("Cisco ATA191", "A0F849"),
    ("Poly VVX450", "482567"),
    ("Poly VVX250", "64167F"),
    ("Poly Edge E350", "482567"),
    ("Yealink T46S", "805EC0"),
    ("Yealink T54W", "249AD8"),
    ("Yealink W70B", "805EC0"),
    ("Snom D785", "000413"),
    ("Snom M700", "000413"),
    ("Grandstream GXP2170", "000B82"),
    ("Gigaset N870 IP PRO", "7C2F80"),
    ("Fanvil X4U", "0C383E"),
)

# Whoever holds a phone writes its user agent; the demonstration shows that nothing comes of it.
_HOSTILE = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "\x1b[31mred\x00\r\nInjected: yes",
    "left\u202eright",
    "'; DROP TABLE lines; --",
    "{{7*7}}${7*7}",
    "A" * 5_000,
)
_HOSTILE_SHARE = 200  # one device in as many

_FIRMWARE = {
    "cisco": ("12.0.3", "12.0.5", "11.3.7"),
    "poly": ("6.4.3.5018", "6.4.3.5156", "5.9.5.0614"),
    "yealink": ("66.85.0.5", "96.86.0.70", "108.86.0.20"),
    "snom": ("10.1.84.12", "10.1.101.11", "10.1.54.13"),
    "grandstream": ("1.0.11.35", "1.0.11.64", "1.0.9.135"),
    "gigaset": ("83.V2.11.0+build.a546b91", "83.V2.39.0", "83.V2.49.1"),
    "fanvil": ("2.12.18.9", "2.12.1.5", "2.4.12"),
}
_YEALINK_DECT = {"W52P": "25.81.0.10", "W60B": "77.83.0.85", "W70B": "146.85.0.20", "W75B": "175.85.0.20"}


_FORMS = (  # vendor, start of the model, user agent
    ("cisco", "ATA", "Cisco-{model}-MPP/11-1-0MSR3-9"),
    ("cisco", "", "Cisco-CP-{model}-3PCC/{version}_{mac}"),
    ("poly", "VVX", "PolycomVVX-VVX_{bare}-UA/{version}_{mac}"),
    ("poly", "", "Poly{dashed}-UA/8.1.3.0124"),
    ("yealink", "W", "Yealink {model} {dect}"),
    ("yealink", "", "Yealink SIP-{model} {version}"),
    ("snom", "M", "snom{model}/05.20.0001 (MAC={upper}; SER= 00000; HW=255)"),
    ("snom", "", "snom{model}/{version}"),
    ("grandstream", "", "Grandstream {model} {version}"),
    ("gigaset", "", "Gigaset {model}/{version};{upper}"),
    ("fanvil", "", "Fanvil {model} {version} {mac}"),
)


@dataclass(frozen=True, slots=True)
class Identification:
    """What a simulated device says of itself in each REGISTER.

    Args:
        user_agent: cleaned as from any registrar.
        instance: `+sip.instance`; `None` where this vendor's phones send none.
    """

    user_agent: str | None
    instance: str | None


def made_up_device(roll: int) -> tuple[str, str]:
    """Return device type and MAC of a line port that no inventory knows; `roll` is any whole number."""
    name, prefix = _FLEET[roll % len(_FLEET)]
    return name, f"{prefix}{roll >> 8 & 0xFFFFFF:06X}"


def identify(device_type: str, mac: str, roll: int) -> Identification:
    """Return what a device of this type says of itself.

    Args:
        device_type: vendor and model as in the catalogue; an unknown vendor gives a plain user agent.
        mac: in any form with or without separators.
        roll: any whole number; decides firmware, and which few devices are hostile.
    """
    digits = mac.replace(":", "").replace("-", "").replace(".", "").lower()
    if roll % _HOSTILE_SHARE == 0:
        text = _HOSTILE[roll // _HOSTILE_SHARE % len(_HOSTILE)]
        return Identification(clean_text(text, USER_AGENT_LIMIT), None)
    vendor = device_type.partition(" ")[0]
    versions = _FIRMWARE.get(vendor.lower(), ("1.0",))
    said = _user_agent(device_type, versions[roll // 7 % len(versions)], digits)
    instance = f"urn:uuid:00000000-0000-1000-8000-{digits}" if vendor != "Snom" else None
    return Identification(clean_text(said or f"{device_type}/1.0", USER_AGENT_LIMIT), instance)


def _user_agent(device_type: str, version: str, mac: str) -> str | None:
    vendor, _, model = device_type.partition(" ")
    for maker, prefix, form in _FORMS:
        if maker == vendor.lower() and model.startswith(prefix):
            return form.format(
                model=model,
                bare=model.removeprefix("VVX"),
                dashed=model.replace(" ", "-"),
                version=version,
                dect=_YEALINK_DECT.get(model, "103.83.0.122"),
                mac=mac,
                upper=mac.upper(),
            )
    return None
