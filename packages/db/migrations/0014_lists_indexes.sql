DROP INDEX "data"."usage_log_created_index";--> statement-breakpoint
CREATE INDEX "dead_letter_written_off_index" ON "data"."dead_letter" USING hash ("account_id") WHERE history @> '[{"act": "written_off"}]';--> statement-breakpoint
CREATE INDEX "usage_log_created_index" ON "data"."usage_log" USING btree ("created_at","id") WHERE id > 0;