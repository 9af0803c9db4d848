"""What each address of the service can be asked about another customer; every address stands here once."""

from portal_home import PROVIDER, mac_of

FOREIGN = str(mac_of(7))  # a device of Clinic
LINE = {"line_port": "9@kiel.clinic.example", "user": {"user_id": "u9"}}
NEW = {"mac": "00:15:65:00:00:01", "site": "Kiel", "device_type": "Cisco 8851", "customer": "Clinic"}
CSV = {"Content-Type": "text/csv"}
FILE = b"Site,Device Type,MAC Address\nKiel,CP-8851,0015651234aa\n"
TICKET = "f" * 32

QUESTIONS = (
    "aged-lines", "availability", "capacity", "compare", "comparison-summary", "firmware-census",
    "flapping-lines", "heat-map", "outages", "state-changes", "state-counts", "states-at", "sunburst",
    "time-in-state", "user-agent-census",
)  # fmt: skip
TWO = {"first": "2026-11-01T00:00:00Z", "second": "2026-11-02T00:00:00Z"}
MOMENTS = {"compare": TWO, "comparison-summary": TWO, "states-at": {"moment": "2026-11-02T00:00:00Z"}}

# What asks for things of Clinic, by address; what an address gives to people of Bakery is never Clinic's.
CASES = {
    ("POST", "/v1/customers"): {"json": {"name": "New", "provider": PROVIDER}},
    ("POST", "/v1/providers"): {"json": {"name": "New"}},
    ("PUT", "/v1/providers/{provider}/export"): {"json": {"allowed": False}},
    ("GET", "/v1/sites"): {"params": {"customer": "Clinic"}},
    ("POST", "/v1/sites"): {"json": {"name": "Paris", "customer": "Clinic"}},
    ("POST", "/v1/sites/{site}/types"): {"json": {"approve": ["CP-8851"], "customer": "Clinic"}},
    ("GET", "/v1/types"): {"params": {"customer": "Clinic", "site": "Kiel"}},
    ("GET", "/v1/devices"): {"params": {"customer": "Clinic"}},
    ("POST", "/v1/devices"): {"json": NEW},
    ("GET", "/v1/devices/{mac}"): {},
    ("DELETE", "/v1/devices/{mac}"): {},
    ("GET", "/v1/devices/{mac}/status"): {},
    ("POST", "/v1/devices/{mac}/reboot"): {"json": {}},
    ("POST", "/v1/devices/{mac}/lines"): {"json": LINE},
    ("DELETE", "/v1/devices/{mac}/lines/{port}"): {},
    ("GET", "/v1/line-states"): {"params": {"customer": "Clinic"}},
    ("GET", "/v1/summary"): {"params": {"site": "Kiel"}},
    ("POST", "/v1/collections"): {"json": {"customer": "Clinic"}},
    ("POST", "/v1/export-queue/{ticket}/release"): {"json": {"force": True}},
    ("PUT", "/v1/identities/{principal}"): {"json": {"role": "viewer", "scope": {"customer": "Clinic"}}},
    ("GET", "/v1/audit"): {},
    ("POST", "/v1/audit/verify"): {"json": {}},
    ("POST", "/v1/tokens"): {"json": {"principal": "clinician"}},
    ("DELETE", "/v1/tokens/{number}"): {},
    ("POST", "/v1/exports"): {"json": {"customer": "Clinic"}, "headers": {"Prefer": "wait=20"}},
    ("GET", "/v1/exports/{number}"): {},
    ("GET", "/v1/exports/{number}/file"): {},
    ("DELETE", "/v1/exports/{number}"): {},
    ("POST", "/v1/probes"): {"json": {"customer": "Clinic"}},
    ("POST", "/v1/restart-plans"): {"json": {"customer": "Clinic"}},
    ("GET", "/v1/restarts/{number}"): {},
    ("GET", "/v1/dect/stations"): {"params": {"customer": "Clinic"}},
    ("GET", "/v1/dect/handsets"): {"params": {"customer": "Clinic"}},
    ("GET", "/v1/findings"): {"params": {"customer": "Clinic"}},
    ("GET", "/v1/unrecognised"): {"params": {"customer": "Clinic"}},
    **{
        ("GET", f"/v1/questions/{name}"): {"params": {"customer": "Clinic"} | MOMENTS.get(name, {})}
        for name in QUESTIONS
    },
    ("GET", "/v1/device-list"): {"params": {"customer": "Clinic"}},
    ("POST", "/v1/imports"): {"params": {"customer": "Clinic"}, "content": FILE, "headers": CSV},
    ("GET", "/v1/template"): {"params": {"customer": "Clinic"}},
}
OWN_ONLY = {
    ("GET", "/v1/identity"): {},
    ("GET", "/v1/customers"): {},
    ("GET", "/v1/tokens"): {},
    ("GET", "/v1/restarts"): {},
    ("POST", "/v1/compactions"): {},
    ("GET", "/v1/questions/line-history"): {"params": {"line": FOREIGN}},
    ("GET", "/v1/export-queue"): {},
    ("POST", "/v1/sql"): {"json": {"text": "SELECT * FROM devices, sites, snapshots, line_states"}},
}
"""Addresses that name nobody: they answer about one's own, or refuse the role; never about Clinic."""

OPEN = {("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/openapi.json")}
