CREATE TABLE "data"."operation_item" (
	"operation_id" uuid NOT NULL,
	"n" integer NOT NULL,
	"target" jsonb NOT NULL,
	"outcome" text,
	"detail" jsonb,
	"finished_at" timestamp with time zone,
	CONSTRAINT "operation_item_pkey" PRIMARY KEY("operation_id","n"),
	CONSTRAINT "operation_item_outcome_check" CHECK (outcome in ('applied', 'already', 'failed')),
	CONSTRAINT "operation_item_finished_check" CHECK ((outcome is null) = (finished_at is null))
);
--> statement-breakpoint
ALTER TABLE "data"."operator_action" ADD COLUMN "control" text DEFAULT 'run' NOT NULL;--> statement-breakpoint
ALTER TABLE "data"."operation_item" ADD CONSTRAINT "operation_item_operation_fk" FOREIGN KEY ("operation_id") REFERENCES "data"."operator_action"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "data"."operator_action" ADD CONSTRAINT "operator_action_control_check" CHECK (control in ('run', 'pause', 'abort'));