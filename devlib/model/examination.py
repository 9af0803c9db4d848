"""The tables of what phones say against what the inventory says: DECT stations, handsets, findings."""

from devlib.model.observation import DEVICE_LIST, OBSERVATIONS
from devlib.model.tables import Column, ColumnType, Table

_TEXT, _INTEGER, _MOMENT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.MOMENT

_LINE = OBSERVATIONS.column
_DEVICE = DEVICE_LIST.column

# fmt: off
DECT_STATIONS = Table(
    "dect_stations",
    "The DECT base stations, also those at which no handset is.",
    (
        _LINE("provider"),
        _LINE("customer"),
        _DEVICE("site"),
        _DEVICE("chain_id"),
        _DEVICE("base_station_id"),
        _DEVICE("mac"),
        _DEVICE("device_type"),
        _DEVICE("name"),
        Column("handsets_assigned", _INTEGER, "Handsets Assigned", "Combinés attribués",
               "Lines of the base that users hold."),
        Column("handsets_here", _INTEGER, "Handsets Here", "Combinés présents",
               "Handsets that are registered at this base now, whichever base is their home."),
        Column("ghosts", _INTEGER, "Ghosts", "Liaisons fantômes",
               "Contacts that these handsets left behind at other bases; they count nowhere else."),
        Column("state", _TEXT, "State", "État",
               "registered where a handset is registered here; else aged, unknown or unregistered as the "
               "handsets that were here last; empty where none ever was."),
        Column("last_seen", _MOMENT, "Last Seen", "Vu le", "Last known REGISTER through this base (UTC)."),
        Column("observed_at", _MOMENT, "Observed At", "Observé le",
               "Newest observation on which this rests (UTC)."),
    ),
)

DECT_HANDSETS = Table(
    "dect_handsets",
    "The handsets of DECT bases: where each belongs and where it is.",
    (
        _LINE("provider"),
        _LINE("customer"),
        _LINE("site"),
        _LINE("chain_id"),
        _LINE("line_port"),
        _LINE("user_id"),
        _LINE("state"),
        Column("home_base", _TEXT, "Home Base", "Base d’attache",
               "MAC of the base that the line is a port of."),
        Column("home_station_id", _TEXT, "Home Station ID", "ID de la station d’attache",
               "Multicell station ID of that base.", hostile=True),
        Column("current_base", _TEXT, "Current Base", "Base actuelle",
               "MAC of the base at which the handset registered last; empty where it is not told."),
        Column("current_station_id", _TEXT, "Current Station ID", "ID de la station actuelle",
               "Multicell station ID of that base; empty where the inventory does not have it.",
               hostile=True),
        Column("since", _MOMENT, "Since", "Depuis", "First observation at that base without a break (UTC)."),
        _LINE("ghosts"),
        _LINE("last_registered_at"),
        _LINE("observed_at"),
    ),
)

FINDINGS = Table(
    "findings",
    "Where a phone contradicts the inventory. The inventory decides; a contradiction is looked into.",
    (
        _LINE("provider"),
        _LINE("customer"),
        _LINE("site"),
        Column("kind", _TEXT, "Finding", "Constat",
               "other mac, other vendor, other model, several bindings (of a line that is not shared) or "
               "ghosts (of a DECT handset)."),
        Column("severity", _TEXT, "Severity", "Gravité", "high, medium or low."),
        _LINE("line_port"),
        _LINE("mac"),
        _LINE("device_type"),
        Column("inventory_says", _TEXT, "Inventory Says", "Selon l’inventaire",
               "MAC, device type or number of bindings as the inventory has it.", hostile=True),
        Column("phone_says", _TEXT, "Phone Says", "Selon le téléphone",
               "The same as the phone or the registrar has it.", hostile=True),
        Column("read_from", _TEXT, "Read From", "Source",
               "Where that was read: user agent, device name, instance, registrar."),
        Column("known_as", _TEXT, "Known As", "Connu comme",
               "The device of the said MAC, as far as the asker may see it: customer / site / type; empty "
               "for an unknown one.", hostile=True),
        _LINE("state"),
        Column("since", _MOMENT, "Since", "Depuis", "First observation of it without a break (UTC)."),
        _LINE("observed_at"),
    ),
)

UNRECOGNISED = Table(
    "unrecognised",
    "User agents that are not recognised, and of how many lines; that is no finding.",
    (
        _LINE("user_agent"),
        Column("lines", _INTEGER, "Lines", "Lignes", "Registered lines whose phone says this."),
    ),
)
# fmt: on
