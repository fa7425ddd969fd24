-- Where the journal is, once it was moved: one row, or none where it never was. state: here; leaving or arriving while a
-- move is under way; gone. journal: the same in each place that this journal was in. move: the last one, the same on both
-- sides of it. other_kind, other: the other side, which is a file or a Postgres. since: when the state was noted.
CREATE TABLE journal_place (
    journal VARCHAR NOT NULL,
    move VARCHAR NOT NULL,
    state VARCHAR NOT NULL CHECK (state IN ('here', 'leaving', 'arriving', 'gone')),
    other_kind VARCHAR NOT NULL CHECK (other_kind IN ('file', 'postgres')),
    other VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL
);
