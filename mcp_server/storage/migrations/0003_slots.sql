-- scheduled_until: the last slot that a row stands for, the same as scheduled_at where it stands for one.
-- reserved_usd: the most that a run was allowed to cost; it counts as spent where the cost is unknown.
-- reserved_at: when it was allowed to; what it costs counts on that day.
ALTER TABLE executions ADD COLUMN scheduled_until TIMESTAMP;
ALTER TABLE executions ADD COLUMN reserved_usd DECIMAL(18, 6);
ALTER TABLE executions ADD COLUMN reserved_at TIMESTAMP;
UPDATE executions SET reserved_usd = 0.50
WHERE engine = 'claude' AND cost_usd IS NULL AND status IN ('success', 'abstained', 'error', 'timeout', 'running');
-- own_failure: a failure that counts against its strategy; an outage of others, or a stop of the runner, does not.
ALTER TABLE executions ADD COLUMN own_failure BOOLEAN;
-- What the scheduler knows of a strategy: the config by which it comes due (NULL: it is not scheduled), since when,
-- and the moment until which every slot has its row.
ALTER TABLE strategies ADD COLUMN scheduled_config JSON;
ALTER TABLE strategies ADD COLUMN scheduled_since TIMESTAMP;
ALTER TABLE strategies ADD COLUMN accounted_until TIMESTAMP;
