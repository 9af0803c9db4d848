"""The border at which the database's errors become the suite's."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from devlib.errors import Conflict, DevlibError, StorageUnavailable, UsageError
from devlib.language import Message, message, visible

# PostgreSQL: serialization failure, deadlock detected, insufficient privilege.
_TRY_AGAIN = frozenset({"40001", "40P01"})
_NO_RIGHT = "42501"


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Raise `Conflict`, `UsageError` or `StorageUnavailable` in the place of what the database raises.

    Args:
        url: named in the error, without its password.
    """
    try:
        yield
    except IntegrityError as error:
        raise Conflict(
            message("The inventory refuses this: {reason}", reason=_reason(error, url)),
            remedy=message("Somebody else may have changed it just now; look again."),
        ) from error
    except DataError as error:
        raise UsageError(message("A value cannot be stored: {reason}", reason=_reason(error, url))) from error
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_RIGHT:
            raise
        raise _unavailable(_reason(error, url), url) from error
    except DBAPIError as error:
        again = getattr(error.orig, "sqlstate", None) in _TRY_AGAIN
        raise _unavailable(_reason(error, url), url, retry_after=0.1 if again else 5.0) from error
    except PoolTimeout as error:
        raise _unavailable(message("all connections are in use"), url, retry_after=1.0) from error


def _reason(error: DBAPIError, url: URL) -> str:
    text = " ".join(str(error.orig).split())
    if isinstance(url.password, str) and url.password:
        text = text.replace(url.password, "***")
    return visible(text, 300)


def _unavailable(reason: str | Message, url: URL, retry_after: float | None = None) -> DevlibError:
    return StorageUnavailable(
        message("The inventory cannot be used: {reason}", reason=reason),
        where=url.render_as_string(hide_password=True),
        remedy=message("Try again; if it stays so, `devlib doctor` says what is wrong with the database."),
        retry_after=retry_after,
    )
