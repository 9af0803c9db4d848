"""The tables of line states: what a snapshot keeps, and the report that people get from it."""

from devlib.model.tables import Column, ColumnType, Table

_TEXT, _INTEGER, _MOMENT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.MOMENT

# fmt: off
OBSERVATIONS = Table(
    "observations",
    "One row for each assigned line in each snapshot.",
    (
        Column("provider", _TEXT, "Service Provider", "Fournisseur de service",
               "Name of the service provider."),
        Column("customer", _TEXT, "Customer", "Client", "Name of the customer."),
        Column("site", _TEXT, "Site", "Site", "Name of the site.", hostile=True),
        Column("mac", _TEXT, "MAC Address", "Adresse MAC", "Address of the device, upper case with colons."),
        Column("device_name", _TEXT, "Device Name", "Nom de l’appareil",
               "What its keepers call the device.", hostile=True),
        Column("device_type", _TEXT, "Device Type", "Type d’appareil", "Name of the type in the catalogue."),
        Column("port", _INTEGER, "Port", "Port", "Number of the port on the device, from 1."),
        Column("line_port", _TEXT, "Line Port", "Port de ligne",
               "SIP address user@domain under which the line registers.", hostile=True),
        Column("line_type", _TEXT, "Line Type", "Type de ligne", "Primary or Shared."),
        Column("user_id", _TEXT, "User ID", "Identifiant utilisateur",
               "Account of the user who holds the line.", hostile=True),
        Column("first_name", _TEXT, "First Name", "Prénom", "First name of that user.", hostile=True),
        Column("last_name", _TEXT, "Last Name", "Nom", "Last name of that user.", hostile=True),
        Column("phone_number", _TEXT, "Phone Number", "Numéro de téléphone",
               "E.164 number, with its plus sign."),
        Column("extension", _TEXT, "Extension", "Poste", "Short number.", hostile=True),
        Column("state", _TEXT, "State", "État",
               "registered, aged, unregistered, or unknown where the network could not be asked."),
        Column("expires_at", _MOMENT, "Expires At", "Expire le",
               "Last known end of the binding (UTC); empty for a permanent one."),
        Column("last_registered_at", _MOMENT, "Last Registered", "Dernier enregistrement",
               "Last known REGISTER (UTC)."),
        Column("contact", _TEXT, "Contact", "Contact",
               "Last known contact URI, as the phone said.", hostile=True),
        Column("user_agent", _TEXT, "User Agent", "Agent utilisateur",
               "Last known user agent, as the phone said.", hostile=True),
        Column("public_address", _TEXT, "Public Address", "Adresse publique",
               "Source address that the registrar saw.", hostile=True),
        Column("private_address", _TEXT, "Private Address", "Adresse privée",
               "Host and port of the contact.", hostile=True),
        Column("base_station_id", _TEXT, "Base Station ID", "ID de la station de base",
               "Multicell station ID; DECT only.", hostile=True),
        Column("observed_at", _MOMENT, "Observed At", "Observé le", "When the network was asked (UTC)."),
        Column("bindings", _INTEGER, "Bindings", "Liaisons",
               "Live bindings of the line; empty where the network could not be asked."),
        Column("state_before", _TEXT, "State Before", "État précédent",
               "State in the last snapshot that could ask."),
        Column("state_known_at", _MOMENT, "State Known At", "État connu le",
               "When the last known state was observed (UTC)."),
        Column("evidence", _TEXT, "Evidence", "Preuve",
               "Why: live, permanent, expired, vanished, retention over, never seen, not asked, registrar "
               "restarted; signed off and expiry reported are what an event feed said, and exact."),
        Column("network", _TEXT, "Network", "Réseau", "Name of the network that was asked."),
        Column("line_key", _INTEGER, "Line Key", "Clé de ligne", "Integer key of the line in the inventory."),
        Column("vendor", _TEXT, "Vendor", "Constructeur", "Maker of the device."),
        Column("kind", _TEXT, "Kind", "Genre", "desk, conference, ata or dect_base."),
        Column("chain_id", _TEXT, "Chain ID", "ID de chaîne",
               "ID of the multicell chain; DECT only.", hostile=True),
        Column("instance", _TEXT, "Instance", "Instance",
               "Last known +sip.instance, as the phone said.", hostile=True),
        Column("call_id", _TEXT, "Call-ID", "Call-ID",
               "Call-ID of the last known REGISTER; a new one means that the phone restarted.", hostile=True),
        Column("said_vendor", _TEXT, "Said Vendor", "Constructeur annoncé",
               "Maker that the phone says it is of."),
        Column("said_model", _TEXT, "Said Model", "Modèle annoncé",
               "Model that the phone says it is.", hostile=True),
        Column("firmware", _TEXT, "Firmware", "Micrologiciel",
               "Firmware that the phone says it runs.", hostile=True),
        Column("said_mac", _TEXT, "Said MAC Address", "Adresse MAC annoncée",
               "Address that the phone says it has; the inventory decides which device it is."),
        Column("said_mac_from", _TEXT, "Said MAC From", "Source de l’adresse annoncée",
               "Where that was read: user agent, device name, instance."),
        Column("ghosts", _INTEGER, "Ghosts", "Liaisons fantômes",
               "Older contacts of a DECT handset at other bases; not counted as bindings."),
        Column("current_base", _TEXT, "Current Base", "Base actuelle",
               "MAC of the base at which a DECT handset registered last."),
        Column("reason", _TEXT, "Reason", "Raison",
               "Why the network could not be asked.", hostile=True),
        Column("evidence_before", _TEXT, "Evidence Before", "Preuve précédente",
               "Evidence in the last snapshot that could ask."),
    ),
)

OBSERVATIONS_LAYOUT = 2
"""Version of the columns of `OBSERVATIONS`, kept with each file; columns are only ever added at the end."""

FIRST_LAYOUT_COLUMNS = 32
"""Number of columns that files of layout 1 have."""

LINE_STATES = OBSERVATIONS.part(
    "line_states",
    "The line-state report: one row for each assigned line port (domain study §8.3).",
    (
        "site", "mac", "device_name", "device_type", "port", "line_port", "line_type", "user_id",
        "first_name", "last_name", "phone_number", "extension", "state", "expires_at",
        "last_registered_at", "contact", "user_agent", "public_address", "private_address",
        "base_station_id", "observed_at", "bindings",
    ),
)  # fmt: skip

DEVICE_LIST = Table(
    "devices",
    "The device list: the article's four columns first, more on request.",
    (
        Column("mac", _TEXT, "MAC Address", "Adresse MAC", "Address of the device, upper case with colons."),
        Column("device_type", _TEXT, "Device Type", "Type d’appareil", "Name of the type in the catalogue."),
        Column("available_lines", _INTEGER, "Available Lines", "Lignes disponibles",
               "Ports that no user holds."),
        Column("site", _TEXT, "Site", "Site", "Name of the site.", hostile=True),
        Column("total_lines", _INTEGER, "Total Lines", "Lignes au total", "Ports of the device."),
        Column("assigned_lines", _INTEGER, "Assigned Lines", "Lignes attribuées", "Ports that users hold."),
        Column("name", _TEXT, "Device Name", "Nom de l’appareil",
               "What its keepers call the device.", hostile=True),
        Column("description", _TEXT, "Description", "Description", "Free text of its keepers.", hostile=True),
        Column("vendor", _TEXT, "Vendor", "Constructeur", "Maker of the device."),
        Column("kind", _TEXT, "Kind", "Genre", "desk, conference, ata or dect_base."),
        Column("status", _TEXT, "Status", "État",
               "State of the device in the last snapshot; empty where it has no assigned line."),
        Column("registered_lines", _INTEGER, "Registered Lines", "Lignes enregistrées",
               "Lines that were registered in the last snapshot."),
        Column("last_seen", _MOMENT, "Last Seen", "Vu le", "Last known REGISTER of any of its lines (UTC)."),
        Column("base_station_id", _TEXT, "Base Station ID", "ID de la station de base",
               "Multicell station ID; DECT only.", hostile=True),
        Column("chain_id", _TEXT, "Chain ID", "ID de chaîne",
               "ID of the multicell chain; DECT only.", hostile=True),
        Column("customer", _TEXT, "Customer", "Client", "Name of the customer.", hostile=True),
        Column("provider", _TEXT, "Service Provider", "Fournisseur de service",
               "Name of the service provider.", hostile=True),
    ),
)

ARTICLE_COLUMNS = ("mac", "device_type", "available_lines", "site")

IMPORT_TEMPLATE = DEVICE_LIST.part(
    "devices_template",
    "The bulk file: site, type and MAC are needed, the rest is optional (domain study §8.2).",
    ("site", "device_type", "mac", "name", "description"),
)

IMPORT_RESULT = Table(
    "import_result",
    "The result of a bulk import: one row for each row of the file.",
    (
        Column("row", _INTEGER, "Row", "Ligne", "Number of the row in the file; the header is row 1."),
        Column("mac", _TEXT, "MAC Address", "Adresse MAC", "As written in the file.", hostile=True),
        Column("device_type", _TEXT, "Device Type", "Type d’appareil",
               "As written in the file.", hostile=True),
        Column("site", _TEXT, "Site", "Site", "As written in the file.", hostile=True),
        Column("outcome", _TEXT, "Outcome", "Issue", "added, present, valid, refused or not imported."),
        Column("code", _TEXT, "Code", "Code", "Codes of the problems, separated by blanks."),
        Column("field", _TEXT, "Field", "Champ", "Fields in which they are."),
        Column("message", _TEXT, "Message", "Message", "What is wrong, in words.", hostile=True),
    ),
)

SUPPORTED_DEVICES = Table(
    "supported_devices",
    "The device types that may be imported in the asker's scope.",
    (
        Column("device_type", _TEXT, "Device Type", "Type d’appareil", "Name of the type in the catalogue."),
        Column("vendor", _TEXT, "Vendor", "Constructeur", "Maker of the device."),
        Column("kind", _TEXT, "Kind", "Genre", "desk, conference, ata or dect_base."),
        Column("lines", _INTEGER, "Lines", "Lignes", "SIP accounts that it can register."),
        Column("certainty", _TEXT, "Certainty", "Certitude", "How well the line count is known."),
    ),
)

SITE_TYPES = Table(
    "sites",
    "The sites of the asker's scope, one row for each device type approved there.",
    (
        Column("customer", _TEXT, "Customer", "Client", "Name of the customer.", hostile=True),
        Column("site", _TEXT, "Site", "Site", "Name of the site.", hostile=True),
        Column("device_type", _TEXT, "Device Type", "Type d’appareil", "A type approved for the site."),
    ),
)
