-- From when on each slot of the strategy's present version has a row, up to accounted_until: a machine that has had this
-- version for longer goes by the rows before that. NULL: an older program did not say, and it is from the beginning.
ALTER TABLE strategies ADD COLUMN accounted_from TIMESTAMP;
