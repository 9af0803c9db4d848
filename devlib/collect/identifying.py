"""What phones say of themselves, worked out once for each saying that is new.

A first snapshot has as many sayings as devices, but only a few user agents: these are read one by one, the
addresses in the instances column by column. `devlib.model.identify` says what is right for one phone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from devlib.collect.rule import NEWS_SQL, SAID
from devlib.model.identification import NIL_INSTANCE, MacSource, identify
from devlib.storage import Lake

_SAYINGS = ("user_agent", "instance", "named")
_SCHEMA = pa.schema([(name, pa.string()) for name in (*_SAYINGS, *SAID)])
_WHOLE_INSTANCE = f"(?i)^(?:{NIL_INSTANCE})$"
_NOBODY = "^0{12}$|^.[13579BDF]"  # all zero, or a group address (IEEE 802), all ones among them
_PAIRS = "(..)(..)(..)(..)(..)(..)"


def identified(lake: Lake, inputs: Mapping[str, Any]) -> pa.Table:
    """Return vendor, model, firmware and MAC of each saying that a line's last observation does not know.

    Args:
        lake: runs the question.
        inputs: the relations `asked`, `held` and `previous` of `STATES_SQL`.
    """
    with lake.connection({name: inputs[name] for name in ("asked", "held", "previous")}) as cursor:
        news = cursor.sql(NEWS_SQL).to_arrow_table()
    return said_in(news)


def said_in(sayings: pa.Table) -> pa.Table:
    """Return sayings with what they say: vendor, model, firmware, MAC and where that was read; in any order.

    Args:
        sayings: the texts `user_agent`, `instance` and `named` (a device name in the contact, else empty).
    """
    with_name = pc.not_equal(sayings.column("named"), "")
    return pa.concat_tables(
        [_one_by_one(sayings.filter(with_name)), _by_column(sayings.filter(pc.invert(with_name)))]
    )


def _one_by_one(sayings: pa.Table) -> pa.Table:
    texts = [sayings.column(name).to_pylist() for name in _SAYINGS]
    return pa.table([*sayings.columns, *_found(zip(*texts, strict=True))], schema=_SCHEMA)


def _by_column(sayings: pa.Table) -> pa.Table:
    agents = sayings.column("user_agent").combine_chunks().dictionary_encode(null_encoding="encode")
    found = _found((each, None, "") for each in agents.dictionary.to_pylist())
    vendor, model, firmware, mac, mac_from = (each.take(agents.indices) for each in found)
    of_instance = _macs_in(sayings.column("instance").combine_chunks())
    where = pc.if_else(pc.is_valid(of_instance), MacSource.INSTANCE.value, pa.scalar(None, pa.string()))
    said = [vendor, model, firmware, pc.coalesce(mac, of_instance), pc.coalesce(mac_from, where)]
    return pa.table([*sayings.columns, *said], schema=_SCHEMA)


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
