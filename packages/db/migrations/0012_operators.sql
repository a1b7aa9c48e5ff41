CREATE TABLE "data"."operator" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"email" text NOT NULL,
	"email_verified" boolean DEFAULT false NOT NULL,
	"name" text NOT NULL,
	"image" text,
	"role" text DEFAULT 'viewer' NOT NULL,
	"disabled_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "operator_email_key" UNIQUE("email"),
	CONSTRAINT "operator_email_check" CHECK (email = lower(email) and position('@' in email) > 1),
	CONSTRAINT "operator_role_check" CHECK (role in ('viewer', 'support', 'admin'))
);
--> statement-breakpoint
CREATE TABLE "data"."operator_credential" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"operator_id" uuid NOT NULL,
	"provider_id" text NOT NULL,
	"subject" text NOT NULL,
	"password" text,
	"access_token" text,
	"refresh_token" text,
	"id_token" text,
	"access_token_expires_at" timestamp with time zone,
	"refresh_token_expires_at" timestamp with time zone,
	"scope" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "operator_credential_subject_key" UNIQUE("provider_id","subject"),
	CONSTRAINT "operator_credential_provider_key" UNIQUE("operator_id","provider_id")
);
--> statement-breakpoint
CREATE TABLE "data"."operator_rate_limit" (
	"key" text PRIMARY KEY NOT NULL,
	"attempts" integer NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "data"."operator_session" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"operator_id" uuid NOT NULL,
	"token" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"ip_address" text,
	"user_agent" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "operator_session_token_key" UNIQUE("token")
);
--> statement-breakpoint
CREATE TABLE "data"."operator_verification" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"identifier" text NOT NULL,
	"value" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "data"."operator_credential" ADD CONSTRAINT "operator_credential_operator_fk" FOREIGN KEY ("operator_id") REFERENCES "data"."operator"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "data"."operator_session" ADD CONSTRAINT "operator_session_operator_fk" FOREIGN KEY ("operator_id") REFERENCES "data"."operator"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "operator_rate_limit_started_index" ON "data"."operator_rate_limit" USING btree ("started_at");--> statement-breakpoint
CREATE INDEX "operator_session_operator_index" ON "data"."operator_session" USING btree ("operator_id");--> statement-breakpoint
CREATE INDEX "operator_verification_identifier_index" ON "data"."operator_verification" USING btree ("identifier");--> statement-breakpoint
CREATE INDEX "operator_verification_expires_index" ON "data"."operator_verification" USING btree ("expires_at");