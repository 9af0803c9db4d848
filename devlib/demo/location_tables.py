"""The tables in which a Kamailio keeps its bindings, as the suite's trials make them.

Columns are those of Kamailio 5.6 (usrloc table version 9); `expires` and `last_modified` are whole seconds
(`expires_type` 1), since timestamps without a zone would be local time, and `last_modified` has an index,
which the delta needs and Kamailio's own schema lacks.
"""

import psycopg

LOCATION_TABLES = """
CREATE TABLE version (
    id SERIAL PRIMARY KEY, table_name VARCHAR(32) UNIQUE NOT NULL, table_version INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE location (
    id BIGSERIAL PRIMARY KEY,
    ruid VARCHAR(64) UNIQUE NOT NULL DEFAULT '',
    username VARCHAR(64) NOT NULL DEFAULT '',
    domain VARCHAR(64),
    contact VARCHAR(512) NOT NULL DEFAULT '',
    received VARCHAR(128),
    path VARCHAR(512),
    expires BIGINT NOT NULL DEFAULT 0,
    q REAL NOT NULL DEFAULT 1.0,
    callid VARCHAR(255) NOT NULL DEFAULT '',
    cseq INTEGER NOT NULL DEFAULT 1,
    last_modified BIGINT NOT NULL DEFAULT 0,
    flags INTEGER NOT NULL DEFAULT 0,
    cflags INTEGER NOT NULL DEFAULT 0,
    user_agent VARCHAR(255) NOT NULL DEFAULT '',
    socket VARCHAR(64),
    methods INTEGER,
    instance VARCHAR(255),
    reg_id INTEGER NOT NULL DEFAULT 0,
    server_id INTEGER NOT NULL DEFAULT 0,
    connection_id INTEGER NOT NULL DEFAULT 0,
    keepalive INTEGER NOT NULL DEFAULT 0,
    partition INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX ON location (username, domain, contact);
CREATE INDEX ON location (expires);
CREATE INDEX ON location (last_modified);
CREATE TABLE location_attrs (
    id SERIAL PRIMARY KEY, ruid VARCHAR(64) NOT NULL DEFAULT '', username VARCHAR(64) NOT NULL DEFAULT '',
    domain VARCHAR(64), aname VARCHAR(64) NOT NULL DEFAULT '', atype INTEGER NOT NULL DEFAULT 0,
    avalue VARCHAR(512) NOT NULL DEFAULT '', last_modified BIGINT NOT NULL DEFAULT 0
);
INSERT INTO version (table_name, table_version) VALUES ('version', 1), ('location', 9), ('location_attrs', 1);
"""


def make_location_tables(database: str) -> None:
    """Make the tables in an empty PostgreSQL database.

    Args:
        database: its URL.

    Raises:
        psycopg.Error: it cannot be reached, or has such tables.
    """
    with psycopg.connect(database) as connection:
        connection.execute(LOCATION_TABLES)
