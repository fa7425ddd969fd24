-- family: exchange, symbol and name, between spaces. "end" is quoted, as it is a word of SQL. stake_pct NULL: the whole
-- equity. sharpe_per_period: mean by deviation of the returns of one candle, not annualised; NULL where it is undefined.
CREATE SEQUENCE backtest_ids;
CREATE TABLE backtests (
    id BIGINT NOT NULL DEFAULT nextval('backtest_ids'),
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

-- Settled fundings of swaps, and the ranges of time of which the store holds every one that the exchange has.
CREATE TABLE fundings (
    exchange VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    settled_at TIMESTAMP NOT NULL,
    rate DOUBLE PRECISION NOT NULL
);
CREATE TABLE funding_coverage (
    exchange VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    start_time TIMESTAMP NOT NULL,
    end_time TIMESTAMP NOT NULL
);
