"""A home for practice: a small simulated fleet in which time stands still.

The notebooks show what it answers, so that everybody who follows them reads the same figures, and nbval can
compare every one of them. Nothing in it is a real phone, and whatever is tried in it harms nobody.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from devlib.config import Settings, load_settings
from devlib.demo.seeding import play_history, seed_fleet
from devlib.errors import Conflict
from devlib.language import Language, message
from devlib.portal import connect

MOMENT = datetime(2026, 11, 3, 14, 0, tzinfo=UTC)
_LENGTH = timedelta(days=7)
_LINES = 300
_SETTINGS = """\
# A home for practice: time stands still, and the phones are simulated.
practice_moment = 2026-11-03T14:00:00Z

[query]
threads = 1  # rows that are equal in the order asked for come in the same order each time

[[networks]]
kind = "simulator"
name = "simulator"
seed = 1
"""


def build_practice_home(home: Path, language: Language = "en") -> Settings:
    """Make the home for practice: the same fleet and the same seven days, whenever it is made.

    Args:
        home: a folder that is empty or missing.
        language: of what is shown.

    Returns:
        Its settings.

    Raises:
        Conflict: the folder holds something.
    """
    if home.exists() and any(each.name != ".devlib-demo" for each in home.iterdir()):
        raise Conflict(
            message("The folder holds something already."),
            where=str(home),
            remedy=message("Name a new folder for the practice."),
        )
    home.mkdir(parents=True, exist_ok=True)
    (home / "devlib.toml").write_text(_SETTINGS, encoding="utf-8")
    settings = load_settings({"DEVLIB_HOME": str(home), "DEVLIB_LANGUAGE": language})
    with connect(settings=settings) as portal:
        seed_fleet(portal.services.inventory, portal.services.catalogue, _LINES)
    play_history(settings, MOMENT, _say_nothing, _LENGTH)
    with connect(settings=settings) as portal:
        portal.collect()
    return settings


def _say_nothing(done: int, total: int) -> None:
    """Tell nobody."""
