-- answer_by: until when a host's own model may answer; no process shows that its run is under way. NULL for other runs.
ALTER TABLE executions ADD COLUMN answer_by TIMESTAMP;
