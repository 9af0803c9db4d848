"""The tables that questions about line states answer with; see `docs/questions.md`."""

from devlib.model.observation import DEVICE_LIST, OBSERVATIONS
from devlib.model.tables import Column, ColumnType, Table

_TEXT, _INTEGER, _REAL, _MOMENT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.REAL, ColumnType.MOMENT

# fmt: off
_PLACE = tuple(OBSERVATIONS.column(name) for name in ("provider", "customer", "site"))
_LINE = tuple(
    OBSERVATIONS.column(name)
    for name in ("provider", "customer", "site", "mac", "device_type", "port", "line_port", "user_id",
                 "phone_number")
)
_KEY = OBSERVATIONS.column("line_key")
_STATE = Column("state", _TEXT, "State", "État",
                "registered, aged, unregistered, or unknown where the network could not be asked.")
_BEFORE = Column("state_before", _TEXT, "State Before", "État précédent",
                 "Last known state before this one; empty where there was none.")
_EVIDENCE = Column("evidence", _TEXT, "Evidence", "Preuve", "On what the state rested when it began.")
_SINCE = Column("since", _MOMENT, "Since", "Depuis", "When it began (UTC).")
_STATE_SINCE = Column("state_since", _MOMENT, "State Since", "État depuis",
                      "When the line came into the state (UTC), however long ago.")
_LAST_SEEN = Column("last_seen_at", _MOMENT, "Last Observed", "Dernière observation",
                    "The last observation of the span (UTC).")
_SEEN_BEFORE = Column("seen_before_at", _MOMENT, "Seen Before", "Vue avant",
                      "When the state before was last observed (UTC): the change lies in between.")
_LINES = Column("lines", _INTEGER, "Lines", "Lignes", "Number of lines.")
_DEVICES = Column("devices", _INTEGER, "Devices", "Appareils", "Number of devices.")
_REGISTERED = Column("registered", _INTEGER, "Registered", "Enregistrées", "Lines that are registered.")
_SHARE = Column("share", _REAL, "Share Registered", "Part enregistrée",
                "Registered out of all that is known, from 0 to 1; empty where nothing is known.")
_COUNTS = (
    _LINES,
    _REGISTERED,
    Column("aged", _INTEGER, "Aged", "Expirées", "Lines that are aged."),
    Column("unregistered", _INTEGER, "Unregistered", "Non enregistrées", "Lines that are unregistered."),
    Column("unknown", _INTEGER, "Unknown", "Inconnues", "Lines whose network could not be asked."),
    _SHARE,
)
_SECONDS = (
    Column("registered_seconds", _INTEGER, "Registered (s)", "Enregistrées (s)",
           "Seconds for which lines were registered."),
    Column("aged_seconds", _INTEGER, "Aged (s)", "Expirées (s)", "Seconds for which lines were aged."),
    Column("unregistered_seconds", _INTEGER, "Unregistered (s)", "Non enregistrées (s)",
           "Seconds for which lines were unregistered."),
    Column("unknown_seconds", _INTEGER, "Unknown (s)", "Inconnues (s)",
           "Seconds for which the network could not be asked; not part of the share."),
    _SHARE,
)
_BUCKET = Column("bucket", _MOMENT, "From", "À partir de", "Beginning of the span (UTC).")

STATE_PERIODS = Table(
    "state_periods",
    "One row for each span of time in which a line had one state at one site. A compacted day is cut at "
    "midnight (UTC), so that spans of a line add up; `state_since` tells the true beginning.",
    (
        *_LINE, _STATE, _SINCE,
        Column("until", _MOMENT, "Until", "Jusqu’à",
               "When it ended (UTC), or the end of what is known or of the day."),
        _STATE_SINCE, _EVIDENCE, _BEFORE, _SEEN_BEFORE,
        Column("began", _TEXT, "Began", "Début",
               "added, changed, moved (to this site), or carried from the day before."),
        Column("ended", _TEXT, "Ended", "Fin", "changed, moved, removed; empty where it goes on."),
        _LAST_SEEN, _KEY,
    ),
)

STATES_AT = Table(
    "states_at",
    "The state of each line at one moment.",
    (*_LINE, _STATE, _STATE_SINCE, _EVIDENCE, _BEFORE, _KEY),
)

STATE_CHANGES = Table(
    "state_changes",
    "One row for each change from one known state to another.",
    (
        Column("changed_at", _MOMENT, "Changed At", "Changée le", "The observation that showed it (UTC)."),
        *_LINE, _BEFORE, _STATE, _EVIDENCE,
        _SEEN_BEFORE, _KEY,
    ),
)

LINE_HISTORY = Table(
    "line_history",
    "The life of lines: one row for each span in one state at one site.",
    (
        *_LINE, _STATE, _SINCE,
        Column("until", _MOMENT, "Until", "Jusqu’à", "When it ended (UTC); empty where it goes on."),
        Column("seconds", _INTEGER, "Seconds", "Secondes", "How long it lasted, as far as is known."),
        _EVIDENCE, _BEFORE,
        Column("ended", _TEXT, "Ended", "Fin", "changed, moved, removed; empty where it goes on."),
        _KEY,
    ),
)

TIME_IN_STATE = Table(
    "time_in_state",
    "Seconds in each state, for each line, site, customer or provider.",
    (*_LINE, _LINES, *_SECONDS, _KEY),
)

FLAPPING_LINES = Table(
    "flapping_lines",
    "Lines that changed their state often.",
    (
        *_LINE,
        Column("changes", _INTEGER, "Changes", "Changements", "Changes between known states."),
        Column("falls", _INTEGER, "Falls", "Chutes", "Those that left registered."),
        _STATE,
        Column("changed_at", _MOMENT, "Last Change", "Dernier changement", "The last of them (UTC)."),
        _SHARE, _KEY,
    ),
)

AGED_LINES = Table(
    "aged_lines",
    "Lines that became aged, and what became of them.",
    (
        *_LINE,
        Column("aged_at", _MOMENT, "Aged At", "Expirée le", "The observation that showed it (UTC)."),
        _EVIDENCE, _BEFORE,
        Column("state", _TEXT, "State Now", "État actuel", "State at the end of the window."),
        Column("registered_at", _MOMENT, "Registered Again", "Réenregistrée le",
               "When it was registered again (UTC); empty where it was not."),
        _KEY,
    ),
)

OUTAGES = Table(
    "outages",
    "Spans in which many lines of one site fell together.",
    (
        *_PLACE,
        Column("began_at", _MOMENT, "Began", "Début", "The first line fell (UTC)."),
        Column("fell_until", _MOMENT, "Last Fall", "Dernière chute", "The last line fell (UTC)."),
        Column("ended_at", _MOMENT, "Ended", "Fin",
               "The last line was registered again (UTC); empty where some are still down."),
        Column("lines", _INTEGER, "Lines Fallen", "Lignes tombées", "Lines that fell."),
        Column("site_lines", _INTEGER, "Lines of the Site", "Lignes du site",
               "Lines of the site that were registered when it began."),
        Column("share", _REAL, "Share Fallen", "Part tombée", "Fallen out of those, from 0 to 1."),
        Column("recovered", _INTEGER, "Recovered", "Rétablies", "Fallen lines that were registered again."),
    ),
)

COMPARISON = Table(
    "comparison",
    "Two moments, line by line.",
    (
        *_LINE,
        Column("first_site", _TEXT, "Site at First", "Site initial", "Site at the first moment.",
               hostile=True),
        Column("first_state", _TEXT, "State at First", "État initial",
               "State at the first moment; empty where the line was not there."),
        Column("second_state", _TEXT, "State Then", "État final",
               "State at the second moment; empty where the line was not there."),
        Column("change", _TEXT, "Change", "Changement", "same, changed, moved, added or removed."),
        _KEY,
    ),
)

COMPARISON_SUMMARY = Table(
    "comparison_summary",
    "Two moments: how many lines went from which state to which.",
    (
        COMPARISON.column("customer"), COMPARISON.column("change"), COMPARISON.column("first_state"),
        COMPARISON.column("second_state"), _LINES,
    ),
)

STATE_COUNTS = Table(
    "state_counts",
    "Lines by state, for each group that was asked for.",
    (
        *(OBSERVATIONS.column(name) for name in
          ("provider", "customer", "site", "vendor", "kind", "device_type", "said_vendor", "said_model",
           "firmware", "network", "evidence", "current_base")),
        *_COUNTS, OBSERVATIONS.column("observed_at"),
    ),
)

FIRMWARE_CENSUS = Table(
    "firmware_census",
    "Which firmware runs where: by the type in the inventory and what the phones say.",
    (
        *(OBSERVATIONS.column(name) for name in ("vendor", "device_type", "said_model", "firmware")),
        _DEVICES, _LINES, _REGISTERED,
        Column("sites", _INTEGER, "Sites", "Sites", "Number of sites."),
    ),
)

USER_AGENT_CENSUS = Table(
    "user_agent_census",
    "What phones say of themselves, word by word.",
    (OBSERVATIONS.column("user_agent"), *FIRMWARE_CENSUS.columns[4:], OBSERVATIONS.column("said_vendor"),
     OBSERVATIONS.column("said_model"), OBSERVATIONS.column("firmware")),
)

CAPACITY = Table(
    "capacity",
    "Lines that users hold and lines that are free, by site and device type.",
    (
        *_PLACE, DEVICE_LIST.column("device_type"), DEVICE_LIST.column("vendor"), DEVICE_LIST.column("kind"),
        _DEVICES,
        *(DEVICE_LIST.column(name) for name in ("total_lines", "assigned_lines", "available_lines")),
        Column("share", _REAL, "Share Assigned", "Part attribuée", "Assigned out of all, from 0 to 1."),
    ),
)

AVAILABILITY = Table(
    "availability",
    "The share of registered lines over time, for each span and group.",
    (*_PLACE, _BUCKET, *_SECONDS),
)

SUNBURST = Table(
    "sunburst",
    "Lines by customer, site, device type and state: the rings of a sunburst.",
    (*_PLACE, OBSERVATIONS.column("device_type"), _STATE, _LINES),
)
# fmt: on

ANSWERS = (
    STATE_PERIODS, STATE_COUNTS, STATES_AT, STATE_CHANGES, LINE_HISTORY, TIME_IN_STATE, FLAPPING_LINES,
    AGED_LINES, OUTAGES, COMPARISON, COMPARISON_SUMMARY, FIRMWARE_CENSUS, USER_AGENT_CENSUS, CAPACITY,
    AVAILABILITY, SUNBURST,
)  # fmt: skip
"""Every table of this module, for the documentation."""
