"""What phones say of themselves, for many phones at once.

A first snapshot has as many sayings as devices, but only a few user agents: these are read one by one, the
addresses in the instances column by column. `devlib.model.identify` says what is right for one phone.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from devlib.collect.rule import DEVICE_NAME, SAID
from devlib.model.identification import NIL_INSTANCE, MacSource, identify

_SAYINGS = ("user_agent", "instance", "named")
_SCHEMA = pa.schema([(name, pa.string()) for name in SAID])
_WHOLE_INSTANCE = f"(?i)^(?:{NIL_INSTANCE})$"
_NOBODY = "^0{12}$|^.[13579BDF]"  # all zero, or a group address (IEEE 802), all ones among them
_PAIRS = "(..)(..)(..)(..)(..)(..)"


def said_in(sayings: pa.Table) -> pa.Table:
    """Return what each of these sayings says, in their order: the columns `SAID`.

    Args:
        sayings: the texts `user_agent`, `instance` and `named` (a device name in the contact, else empty).
    """
    agents = sayings.column("user_agent").combine_chunks().dictionary_encode(null_encoding="encode")
    found = _found((each, None, "") for each in agents.dictionary.to_pylist())
    vendor, model, firmware, mac, mac_from = (each.take(agents.indices) for each in found)
    of_instance = _macs_in(sayings.column("instance").combine_chunks())
    where = pc.if_else(pc.is_valid(of_instance), MacSource.INSTANCE.value, pa.scalar(None, pa.string()))
    mac, mac_from = pc.coalesce(mac, of_instance), pc.coalesce(mac_from, where)
    # A device name counts before an instance: the few sayings that have one are read one by one.
    with_name = pc.not_equal(sayings.column("named"), "").combine_chunks()
    rest = sayings.filter(with_name)
    *_, named, named_from = _found(zip(*(rest.column(name).to_pylist() for name in _SAYINGS), strict=True))
    mac = pc.replace_with_mask(mac, with_name, named)
    return pa.table(
        [vendor, model, firmware, mac, pc.replace_with_mask(mac_from, with_name, named_from)], schema=_SCHEMA
    )


def device_names(contacts: pa.Array) -> pa.Array:
    """Return the device name in each contact that tells its MAC, else an empty text; see `device_name_sql`.

    Args:
        contacts: texts.
    """
    if not pc.any(pc.match_substring(contacts, "SEP")).as_py():
        return pa.repeat(pa.scalar(""), len(contacts))
    return pc.fill_null(pc.struct_field(pc.extract_regex(contacts, f"(?P<name>{DEVICE_NAME})"), "name"), "")


def _macs_in(instances: pa.Array) -> pa.Array:
    digits = pc.ascii_upper(pc.struct_field(pc.extract_regex(instances, _WHOLE_INSTANCE), "digits"))
    nobody = pc.match_substring_regex(digits, _NOBODY)
    mac = pc.replace_substring_regex(digits, _PAIRS, r"\1:\2:\3:\4:\5:\6")
    return pc.if_else(nobody, pa.scalar(None, pa.string()), mac)


def _found(sayings: Iterable[tuple[str | None, str | None, str]]) -> list[pa.Array]:
    columns = list(zip(*(_texts(*each) for each in sayings), strict=True)) or [()] * len(SAID)
    return [pa.array(values, pa.string()) for values in columns]


def _texts(user_agent: str | None, instance: str | None, named: str) -> tuple[str | None, ...]:
    said = identify(user_agent, instance, named)
    mac = None if said.mac is None else str(said.mac)
    return said.vendor, said.model, said.firmware, mac, None if said.mac is None else said.mac_from
