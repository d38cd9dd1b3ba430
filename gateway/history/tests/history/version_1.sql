-- A day's file as version 1 of the schema had it: a table `event` with a row for each event.
PRAGMA journal_mode = WAL;
CREATE TABLE source (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    position INTEGER NOT NULL
) STRICT;
CREATE TABLE message (
    id BLOB NOT NULL PRIMARY KEY,
    direction TEXT, client TEXT, sender TEXT, recipient TEXT, reference TEXT, class TEXT,
    tags TEXT, encoding TEXT, parts INTEGER, operator TEXT, route INTEGER,
    state TEXT, error TEXT,
    accepted_at INTEGER, sent_at INTEGER, final_at INTEGER, told_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX message_client ON message (client);
CREATE INDEX message_recipient ON message (recipient);
CREATE INDEX message_sender ON message (sender);
CREATE INDEX message_reference ON message (reference) WHERE reference IS NOT NULL;
CREATE TABLE event (
    message BLOB NOT NULL, source INTEGER NOT NULL, position INTEGER NOT NULL,
    at INTEGER NOT NULL, name TEXT NOT NULL, part INTEGER, operator TEXT, link TEXT,
    carrier_id TEXT, route INTEGER, state TEXT, error TEXT,
    PRIMARY KEY (message, source, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_carrier_id ON event (carrier_id) WHERE name = 'mt_sent';
CREATE TABLE text (
    number INTEGER PRIMARY KEY,
    message BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (body, content = 'text', content_rowid = 'number');
CREATE TRIGGER text_words AFTER INSERT ON text BEGIN
    INSERT INTO words (rowid, body) VALUES (new.number, new.body);
END;
PRAGMA user_version = 1;
INSERT INTO source (id, position) VALUES (x'09090909090909090909090909090909', 3);
INSERT INTO message (id, direction, client, sender, recipient, reference, class, tags, encoding, parts, operator, route, state,
    accepted_at, sent_at)
VALUES (x'{id}', 'mt', 'acme', 'Example', '491700000001', 'order-0', 'otp', '["news"]', 'gsm7', 1, 'alpha', 1, 'sent',
    1795262400000, 1795262400020);
INSERT INTO event (message, source, position, at, name, part, operator, link, carrier_id, route) VALUES
    (x'{id}', 1, 0, 1795262400000, 'mt_accepted', NULL, NULL, NULL, NULL, NULL),
    (x'{id}', 1, 1, 1795262400001, 'mt_routed', NULL, 'alpha', NULL, NULL, 1),
    (x'{id}', 1, 2, 1795262400020, 'mt_sent', 1, 'alpha', 'alpha-1', 'C0', NULL);
INSERT INTO text (message, body) VALUES (x'{id}', 'Your parcel arrives');
