"""What phones say of themselves, worked out once for each saying that is new."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from devlib.collect.rule import NEWS_SQL, SAID
from devlib.model.identification import identify
from devlib.storage import Lake

_SAYINGS = ("user_agent", "instance", "named")
_SCHEMA = pa.schema([(name, pa.string()) for name in (*_SAYINGS, *SAID)])


def identified(lake: Lake, inputs: Mapping[str, Any]) -> pa.Table:
    """Return vendor, model, firmware and MAC of each saying that a line's last observation does not know.

    Args:
        lake: runs the question.
        inputs: the relations `asked`, `held` and `previous` of `STATES_SQL`.
    """
    with lake.connection({name: inputs[name] for name in ("asked", "held", "previous")}) as cursor:
        news = cursor.sql(NEWS_SQL).to_arrow_table()
    if not len(news):
        return _SCHEMA.empty_table()
    sayings = [news.column(name).to_pylist() for name in _SAYINGS]
    found = [_texts(*each) for each in zip(*sayings, strict=True)]
    columns = [pa.array(values, pa.string()) for values in zip(*found, strict=True)]
    return pa.table([*news.columns, *columns], schema=_SCHEMA)


def _texts(user_agent: str | None, instance: str | None, named: str) -> tuple[str | None, ...]:
    said = identify(user_agent, instance, named)
    mac = None if said.mac is None else str(said.mac)
    return said.vendor, said.model, said.firmware, mac, None if said.mac is None else said.mac_from
