"""Moving to other machines, backups, and what is brought back from them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import copyfile

from devlib.clock import Clock
from devlib.config import Settings
from devlib.errors import NotFound
from devlib.language import message
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.portal.services import lake_place
from devlib.storage import (
    Copied,
    Copier,
    CopyKind,
    CopyStep,
    NewAuditEntry,
    Store,
    open_inventory,
    write_whole,
)

_DATABASE, _SNAPSHOTS = "inventory.db", "snapshots"
_BESIDE = ("devlib.toml", "device-types.csv")

Tell = Callable[[CopyStep], None]


class Copying(Desk):
    """The acts that copy everything that is kept; for whoever may do everything only."""

    def migrate(self, database: str, lake: str, tell: Tell | None = None) -> Copied:
        """Copy inventory and lake to another database and another folder or bucket; the old ones stay.

        Killed at any moment, the same call goes on where it was. Nothing may work on the target before it
        has ended; what is written to the source meanwhile is not copied.

        Args:
            database: URL of an empty database.
            lake: an empty folder, or `s3://BUCKET/PREFIX`.
            tell: is told how far it is.

        Returns:
            What was copied and compared.

        Raises:
            Conflict: the target holds something else.
            NotAllowed: the identity may not do everything.
            StorageUnavailable: a side cannot be reached, or is not equal in the end.
        """
        given = self._services.settings.model_dump(exclude={"database", "lake"})
        settings = Settings.model_validate(given | {"database": database, "lake": lake})
        with self._all("migrate") as own, _opened(settings, self._services.clock) as target:
            return Copier(own, target, CopyKind.MIGRATION, self._services.clock, tell or _silent).run()

    def back_up(self, folder: Path, tell: Tell | None = None) -> Copied:
        """Copy inventory, lake, settings and device types into a folder; again into the same one: the news.

        Args:
            folder: for backups of this fleet only; made for this account alone.
            tell: is told how far it is.

        Returns:
            What the backup holds.

        Raises:
            Conflict: the folder holds something else.
            NotAllowed: the identity may not do everything.
            StorageUnavailable: it cannot be written, or is not equal in the end.
        """
        clock = self._services.clock
        with self._all(f"back up to {folder.name}") as own:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _opened(_backup_settings(folder), clock) as target:
                done = Copier(own, target, CopyKind.BACKUP, clock, tell or _silent).run()
            home = self._services.settings.home
            for name in _BESIDE:
                if (home / name).exists():
                    write_whole(folder / name, partial(_copy, home / name))
            return done

    @contextmanager
    def _all(self, target: str) -> Iterator[Store]:
        with self._gate.act(Act.COPY, target):
            self._require_everything()
            yield Store(self._services.inventory, self._services.lake.files)


def restore(settings: Settings, folder: Path, clock: Clock, tell: Tell | None = None) -> Copied:
    """Copy a backup into the inventory and the lake of the settings, which must be empty.

    No act of an identity: those come with the backup. Whoever may read the backup and write to the database
    may do it, as the operating system and the database say.

    Args:
        settings: of this machine; its inventory and lake must be empty, or hold what an earlier attempt left.
        folder: of the backup; only read. Its settings and device types are for people to copy.
        clock: the time.
        tell: is told how far it is.

    Returns:
        What was copied and compared.

    Raises:
        NotFound: the folder holds no backup.
        Conflict: inventory or lake are in use.
        StorageUnavailable: a side cannot be reached, or is not equal in the end.
    """
    if not (folder / _DATABASE).is_file():
        raise NotFound(
            message("There is no backup in this folder."),
            where=str(folder),
            remedy=message("Name the folder that was given to `devlib backup`."),
        )
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _opened(_backup_settings(folder), clock) as backup, _opened(settings, clock) as own:
        done = Copier(backup, own, CopyKind.RESTORE, clock, tell or _silent).run()
        entry = NewAuditEntry(
            at=clock.now(), principal=settings.account, role="", session="", act=Act.COPY.value,
            target=f"restore {folder.name}", outcome="done", detail=f"{done.rows} rows, {done.files} files",
        )  # fmt: skip
        own.inventory.audit(entry)
    return done


@contextmanager
def _opened(settings: Settings, clock: Clock) -> Iterator[Store]:
    with open_inventory(settings.database_url, clock) as inventory:
        yield Store(inventory, lake_place(settings, clock))


def _backup_settings(folder: Path) -> Settings:
    return Settings(home=folder, database=f"sqlite:///{folder / _DATABASE}", lake=str(folder / _SNAPSHOTS))


def _copy(source: Path, target: Path) -> None:
    copyfile(source, target)


def _silent(_: CopyStep) -> None:
    """Tell nobody."""
