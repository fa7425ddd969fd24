-- The terms by which a run's signal is judged, as they were when it was claimed; NULL for runs of earlier versions,
-- until their first outcome is settled. definition: how outcomes are defined. cost_bps: of a trade in and out.
ALTER TABLE executions ADD COLUMN decision_version VARCHAR;
ALTER TABLE executions ADD COLUMN horizon_s BIGINT;
ALTER TABLE executions ADD COLUMN cost_bps DOUBLE PRECISION;
ALTER TABLE executions ADD COLUMN definition VARCHAR;
ALTER TABLE executions ADD COLUMN exchange VARCHAR;
ALTER TABLE executions ADD COLUMN symbol VARCHAR;
ALTER TABLE executions ADD COLUMN timeframe VARCHAR;

-- One row for each signal whose outcome is known, or known to be void; it never changes. r: exit by entry, less 1.
-- funding_bps: what a long position paid over the time held. Prices, r and funding_bps are NULL where it is void.
CREATE TABLE outcomes (
    execution_id BIGINT NOT NULL,
    entry_time TIMESTAMP NOT NULL,
    entry_price DOUBLE PRECISION,
    exit_time TIMESTAMP NOT NULL,
    exit_price DOUBLE PRECISION,
    r DOUBLE PRECISION,
    cost_bps DOUBLE PRECISION NOT NULL,
    funding_bps DOUBLE PRECISION,
    horizon_s BIGINT NOT NULL,
    definition VARCHAR NOT NULL,
    state VARCHAR NOT NULL CHECK (state IN ('judged', 'void')),
    settled_at TIMESTAMP NOT NULL
);
