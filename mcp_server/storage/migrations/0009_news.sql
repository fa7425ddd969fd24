-- Headlines as they were first seen; a row never changes. first_seen_at: by our clock, when the row was entered, and
-- later than any other entry before. published_at: as the feed told it; NULL: it gave no certain moment.
-- story: the id of the earliest row that tells the same, its own where it is the first. value: the number of an index.
-- hash: of source, guid and headline, by which a repetition is known; address: of the URL without what only tracks.
CREATE SEQUENCE news_ids;
CREATE TABLE news (
    id BIGINT NOT NULL DEFAULT nextval('news_ids'),
    source VARCHAR NOT NULL,
    guid VARCHAR NOT NULL,
    url VARCHAR,
    headline VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    language VARCHAR NOT NULL,
    value DOUBLE PRECISION,
    published_at TIMESTAMP,
    first_seen_at TIMESTAMP NOT NULL,
    story BIGINT NOT NULL,
    hash BIGINT NOT NULL,
    address BIGINT
);

-- One row for each request to a feed. fetched_at: when its answer was entered, the first_seen_at of what was new in it.
-- count: how many items it held; NULL: it was not read.
CREATE TABLE news_fetches (
    source VARCHAR NOT NULL,
    fetched_at TIMESTAMP NOT NULL,
    status VARCHAR NOT NULL,
    count BIGINT
);
