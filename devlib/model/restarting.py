"""The tables of restarts: the runs, and the devices of a plan or a run."""

from devlib.model.tables import Column, ColumnType, Table

_TEXT, _INTEGER, _MOMENT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.MOMENT

RESTART_DEVICES = Table(
    "restart_devices",
    "One row for each device of a restart, planned or run, in the order of sending.",
    (
        Column("position", _INTEGER, "Place", "Rang", "Place in the order of sending, from 0."),
        Column("mac", _TEXT, "MAC Address", "Adresse MAC", "Address of the device."),
        Column("device_type", _TEXT, "Device Type", "Type d’appareil", "Name of its type."),
        Column("customer", _TEXT, "Customer", "Client", "Name of the customer.", hostile=True),
        Column("site", _TEXT, "Site", "Site", "Name of the site.", hostile=True),
        Column("network", _TEXT, "Network", "Réseau", "Name of the network that serves it."),
        Column("line_port", _TEXT, "Line Port", "Port de ligne", "Line through which it is addressed."),
        Column("event", _TEXT, "Event", "Événement", "Event header of its NOTIFY."),
        Column("canary", _INTEGER, "Canary", "Éclaireur", "1 where the rest waits for it, else 0."),
        Column(
            "boot_seconds", _INTEGER, "Boot (s)", "Démarrage (s)",
            "Seconds within which it is never sent a second NOTIFY.",
        ),
        Column("state", _TEXT, "State", "État", "waiting, sending, sent or ended."),
        Column("outcome", _TEXT, "Outcome", "Résultat", "How it ended; empty before."),
        Column("reason", _TEXT, "Reason", "Raison", "Why, in words.", hostile=True),
        Column("code", _INTEGER, "SIP Status", "Statut SIP", "SIP status of the device's answer."),
        Column("attempts", _INTEGER, "NOTIFYs", "NOTIFY", "NOTIFYs sent so far."),
        Column("sent_at", _MOMENT, "Sent At", "Envoyé à", "When the last one was sent."),
        Column("ended_at", _MOMENT, "Ended At", "Terminé à", "When its outcome was known."),
    ),
)  # fmt: skip

RESTART_RUNS = Table(
    "restart_runs",
    "One row for each restart run of the asker's scope, newest first.",
    (
        Column("run", _INTEGER, "Run", "Série", "Its number."),
        Column("created_at", _MOMENT, "Planned At", "Planifiée à", "When it was planned."),
        Column("principal", _TEXT, "Planned By", "Planifiée par", "Who planned it.", hostile=True),
        Column("target", _TEXT, "Target", "Cible", "What for.", hostile=True),
        Column("state", _TEXT, "State", "État", "open, done or stopped; all but done can be resumed."),
        Column("devices", _INTEGER, "Devices", "Appareils", "Devices in all."),
        Column("confirmed", _INTEGER, "Confirmed", "Confirmés", "Devices that registered anew."),
        Column("failed", _INTEGER, "Failed", "Échecs", "Devices that were sent a NOTIFY and failed."),
        Column(
            "not_sent", _INTEGER, "Not Sent", "Non envoyés",
            "Devices that ended without a NOTIFY: not registered, skipped, network unreachable.",
        ),
        Column("left", _INTEGER, "Left", "Restants", "Devices without an outcome yet."),
        Column("reason", _TEXT, "Reason", "Raison", "Why it stopped.", hostile=True),
        Column("finished_at", _MOMENT, "Ended At", "Terminée à", "When it ended."),
    ),
)  # fmt: skip
