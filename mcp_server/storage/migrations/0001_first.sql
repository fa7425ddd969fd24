CREATE TABLE schema_migrations (
    version INTEGER NOT NULL,
    applied_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE SEQUENCE strategy_ids;
CREATE TABLE strategies (
    id INTEGER NOT NULL DEFAULT nextval('strategy_ids'),
    name VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    interval VARCHAR NOT NULL,
    config JSON NOT NULL,
    agents JSON NOT NULL,
    version VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE SEQUENCE execution_ids;
CREATE TABLE executions (
    id BIGINT NOT NULL DEFAULT nextval('execution_ids'),
    strategy_id INTEGER NOT NULL,
    strategy_version VARCHAR NOT NULL,
    "trigger" VARCHAR NOT NULL,
    scheduled_at TIMESTAMP,
    slots INTEGER NOT NULL DEFAULT 1,
    as_of TIMESTAMP NOT NULL,
    engine VARCHAR NOT NULL,
    model VARCHAR,
    started_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    status VARCHAR NOT NULL,
    error_message VARCHAR,
    tokens_used BIGINT,
    cost_usd DECIMAL(18, 6),
    run_key VARCHAR NOT NULL,
    trace JSON
);

CREATE SEQUENCE signal_ids;
CREATE TABLE analysis_results (
    id BIGINT NOT NULL DEFAULT nextval('signal_ids'),
    execution_id BIGINT NOT NULL,
    strategy_id INTEGER NOT NULL,
    timestamp TIMESTAMP NOT NULL,
    signal VARCHAR NOT NULL CHECK (signal IN ('BUY', 'SELL', 'HOLD')),
    confidence DECIMAL(5, 2) CHECK (confidence BETWEEN 0 AND 100),
    reasoning VARCHAR NOT NULL,
    price DOUBLE CHECK (isfinite(price)),
    data JSON NOT NULL,
    execution_time_ms BIGINT NOT NULL
);

CREATE SEQUENCE series_ids;
CREATE TABLE series (
    id INTEGER NOT NULL DEFAULT nextval('series_ids'),
    exchange VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    timeframe VARCHAR NOT NULL
);
-- Ranges of which the store holds every candle that there is; they never overlap or touch.
CREATE TABLE coverage (
    series_id INTEGER NOT NULL,
    start_time TIMESTAMP NOT NULL,
    end_time TIMESTAMP NOT NULL
);
CREATE TABLE candles (
    series_id INTEGER NOT NULL,
    open_time TIMESTAMP NOT NULL,
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL
);
