CREATE TABLE "data"."uncaptured_hold" (
	"hold_id" text PRIMARY KEY NOT NULL,
	"account_id" uuid NOT NULL,
	"virtual_key" text NOT NULL,
	"request_id" text NOT NULL,
	"provider" text NOT NULL,
	"model" text NOT NULL,
	"amount" numeric(18, 9) NOT NULL,
	"opened_at" timestamp with time zone NOT NULL,
	"expired_at" timestamp with time zone NOT NULL,
	CONSTRAINT "uncaptured_hold_amount_check" CHECK (amount >= 0 and amount <> 'NaN'::numeric)
);
--> statement-breakpoint
CREATE INDEX "uncaptured_hold_expired_index" ON "data"."uncaptured_hold" USING btree ("expired_at");