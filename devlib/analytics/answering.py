"""How a question is answered: one query, and a frame with the declared columns, in order, also when empty."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from devlib.errors import UsageError
from devlib.language import message
from devlib.model import Scope, Table
from devlib.storage import Lake, PeriodRows, naive, state_periods, to_frame


def answer(lake: Lake, table: Table, sql: str, inputs: Mapping[str, Any], **values: object) -> pd.DataFrame:
    """Return the answer of one query as a frame.

    Args:
        lake: runs it.
        table: names and types of the columns, in order.
        sql: gives them, in any order.
        inputs: Arrow tables that it names.
        values: its parameters; moments in UTC.
    """
    columns = ", ".join(f"{column.name}::{column.type} AS {column.name}" for column in table)
    given = {name: naive(value) if isinstance(value, datetime) else value for name, value in values.items()}
    with lake.connection(inputs) as cursor:
        found = cursor.sql(f"SELECT {columns} FROM ({sql})", params=given)  # noqa: S608 - own texts
        return to_frame(found.to_arrow_table())


def periods_of(lake: Lake, scope: Scope, since: datetime | None, until: datetime | None) -> PeriodRows:
    """Return the state periods of a window; see `devlib.storage.state_periods`.

    Raises:
        UsageError: the window ends before it begins.
    """
    if since is not None and until is not None and until < since:
        raise UsageError(
            message("The window ends before it begins."),
            remedy=message("Give the earlier moment first."),
        )
    return state_periods(lake, scope, since, until)


def periods_at(lake: Lake, scope: Scope, moment: datetime, name: str = "tail") -> PeriodRows:
    """Return the state periods of one moment; of the last observation before it, where it is later.

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        moment: UTC.
        name: of the Arrow table among the inputs, so that two answers can be joined.
    """
    return state_periods(lake, scope, moment, moment, name=name, at_moment=True)


def one_of(name: str, known: tuple[str, ...]) -> str:
    """Return `name` where it is one of these.

    Raises:
        UsageError: it is none of them.
    """
    if name not in known:
        raise UsageError(
            message("Cannot be grouped by {name}.", name=name[:40]),
            remedy=message("Choose one of: {known}", known=", ".join(known)),
        )
    return name
