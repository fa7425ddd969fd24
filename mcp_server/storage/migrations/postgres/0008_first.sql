-- The schema of the journal as the migrations 1 to 8 leave it, but for what stays in each machine's file: candles and
-- fundings. What each column means is told there; from 9 on, a migration without a text here is the same for both.
-- Rows are found by indexes, which DuckDB does without; a slot that has a row gets no second one, whoever asks.
CREATE TABLE schema_migrations (
    version INTEGER NOT NULL,
    applied_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE SEQUENCE strategy_ids;
CREATE TABLE strategies (
    id INTEGER PRIMARY KEY DEFAULT nextval('strategy_ids'),
    name VARCHAR NOT NULL UNIQUE,
    description VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    interval VARCHAR NOT NULL,
    config JSON NOT NULL,
    agents JSON NOT NULL,
    version VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    scheduled_config JSON,
    scheduled_since TIMESTAMP,
    accounted_until TIMESTAMP
);

CREATE SEQUENCE execution_ids;
CREATE TABLE executions (
    id BIGINT PRIMARY KEY DEFAULT nextval('execution_ids'),
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
    cost_usd DECIMAL(18, 6) CHECK (cost_usd <> 'NaN'),
    run_key VARCHAR NOT NULL,
    trace JSON,
    scheduled_until TIMESTAMP,
    reserved_usd DECIMAL(18, 6) CHECK (reserved_usd <> 'NaN'),
    reserved_at TIMESTAMP,
    own_failure BOOLEAN,
    decision_version VARCHAR,
    horizon_s BIGINT,
    cost_bps DOUBLE PRECISION,
    definition VARCHAR,
    exchange VARCHAR,
    symbol VARCHAR,
    timeframe VARCHAR,
    replay_id VARCHAR,
    contaminated BOOLEAN,
    knowledge_cutoff VARCHAR,
    recorded_usd DECIMAL(18, 6) CHECK (recorded_usd <> 'NaN'),
    earlier_usd DECIMAL(18, 6) CHECK (earlier_usd <> 'NaN'),
    payer VARCHAR,
    answer_by TIMESTAMP
);
CREATE UNIQUE INDEX executions_slot ON executions (strategy_id, scheduled_at) WHERE "trigger" = 'schedule';
CREATE UNIQUE INDEX executions_moment ON executions (replay_id, as_of) WHERE replay_id IS NOT NULL;
CREATE UNIQUE INDEX executions_key ON executions (run_key);
CREATE INDEX executions_running ON executions (id) WHERE status = 'running';
CREATE INDEX executions_until ON executions (scheduled_until) WHERE "trigger" = 'schedule';
CREATE INDEX executions_started ON executions (started_at);
CREATE INDEX executions_of ON executions (strategy_id, id);
-- Each run leaves a dead entry among those that are running, which runners look through twice a second. A fifth of a
-- long journal would be too many of them.
ALTER TABLE executions SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);

CREATE SEQUENCE signal_ids;
CREATE TABLE analysis_results (
    id BIGINT PRIMARY KEY DEFAULT nextval('signal_ids'),
    execution_id BIGINT NOT NULL UNIQUE,
    strategy_id INTEGER NOT NULL,
    timestamp TIMESTAMP NOT NULL,
    signal VARCHAR NOT NULL CHECK (signal IN ('BUY', 'SELL', 'HOLD')),
    confidence DECIMAL(5, 2) CHECK (confidence BETWEEN 0 AND 100),
    reasoning VARCHAR NOT NULL,
    price DOUBLE PRECISION CHECK (price BETWEEN '-1e308' AND '1e308'),
    data JSON NOT NULL,
    execution_time_ms BIGINT NOT NULL
);
CREATE INDEX analysis_results_of ON analysis_results (strategy_id);

CREATE SEQUENCE backtest_ids;
CREATE TABLE backtests (
    id BIGINT PRIMARY KEY DEFAULT nextval('backtest_ids'),
    family VARCHAR NOT NULL,
    decision_version VARCHAR NOT NULL,
    config JSON NOT NULL,
    start TIMESTAMP NOT NULL,
    "end" TIMESTAMP NOT NULL,
    side VARCHAR NOT NULL,
    fee_bps DOUBLE PRECISION NOT NULL,
    slippage_bps DOUBLE PRECISION NOT NULL,
    stake_pct DOUBLE PRECISION,
    sharpe_per_period DOUBLE PRECISION,
    figures JSON NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX backtests_family ON backtests (family);

-- What each runner that is alive has adopted, by the key of its sign of life, whose first 16 digits are its lock.
-- strategies: {"NAME": ["VERSION", "STATUS"]}.
CREATE TABLE runners (
    key VARCHAR PRIMARY KEY,
    place VARCHAR NOT NULL,
    program VARCHAR NOT NULL,
    strategies JSON NOT NULL
);

CREATE TABLE outcomes (
    execution_id BIGINT PRIMARY KEY,
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

CREATE TABLE replays (
    id VARCHAR PRIMARY KEY,
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
    max_usd DECIMAL(18, 6) NOT NULL CHECK (max_usd <> 'NaN'),
    started_at TIMESTAMP NOT NULL,
    opened_at TIMESTAMP NOT NULL,
    pid BIGINT NOT NULL
);
