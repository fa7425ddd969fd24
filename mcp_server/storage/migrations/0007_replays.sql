-- A replay: the runs of a strategy at past moments, for a price known beforehand. id: derived from what defines it.
-- every: the interval; NULL: the strategy's own. without: JSON array of the sub-agents that were left out.
-- repeat: how many reruns with the same terms had ended before. pid: the process that works on it, or did last, since opened_at.
CREATE TABLE replays (
    id VARCHAR NOT NULL,
    strategy_id INTEGER NOT NULL,
    strategy_version VARCHAR NOT NULL,
    decision_version VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL,
    until TIMESTAMP NOT NULL,
    every VARCHAR,
    without JSON NOT NULL,
    contaminated BOOLEAN NOT NULL,
    rerun BOOLEAN NOT NULL,
    repeat INTEGER NOT NULL,
    max_usd DECIMAL(18, 6) NOT NULL,
    started_at TIMESTAMP NOT NULL,
    opened_at TIMESTAMP NOT NULL,
    pid BIGINT NOT NULL
);
-- contaminated: the model may know what came after as_of; NULL: there was no model, or nobody judged it.
-- knowledge_cutoff: the month until which the model knows the world. recorded_usd: what the replies once cost, which a
-- cassette gave for nothing. A row of a replay that was interrupted is taken up again: earlier_usd is what its earlier
-- attempts cost, payer the name under which the replies of the others are kept on the cassette.
ALTER TABLE executions ADD COLUMN replay_id VARCHAR;
ALTER TABLE executions ADD COLUMN contaminated BOOLEAN;
ALTER TABLE executions ADD COLUMN knowledge_cutoff VARCHAR;
ALTER TABLE executions ADD COLUMN recorded_usd DECIMAL(18, 6);
ALTER TABLE executions ADD COLUMN earlier_usd DECIMAL(18, 6);
ALTER TABLE executions ADD COLUMN payer VARCHAR;
