-- Counts the imports that replaced candles of a series: who holds some of them in memory sees that they are old.
ALTER TABLE series ADD COLUMN revision INTEGER DEFAULT 0;
