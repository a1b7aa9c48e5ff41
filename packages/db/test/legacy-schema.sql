-- A database of the replaced system, reconstructed: the tables that Drawdown takes over as that system may have had them,
-- with rows, in the types, names and constraints that are awkward for whoever comes after.

CREATE SCHEMA data;
CREATE TYPE data.sync_state AS ENUM ('pending', 'synced', 'failed');

CREATE TABLE data.customer_type (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name varchar(64) NOT NULL UNIQUE
);
CREATE TABLE data.tenant (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name varchar(255) NOT NULL,
  billing_email varchar(255) NOT NULL,
  customer_type_id uuid REFERENCES data.customer_type (id)
);
CREATE TABLE data.user_profile (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email varchar(255) NOT NULL UNIQUE,
  tenant_id uuid REFERENCES data.tenant (id),
  customer_type_id uuid REFERENCES data.customer_type (id),
  created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE TABLE data.virtual_key (
  id serial PRIMARY KEY,
  virtual_key varchar(128) NOT NULL UNIQUE,
  user_id uuid NOT NULL REFERENCES data.user_profile (id),
  note text
);
CREATE TABLE data.account_balance (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  owner_userid uuid REFERENCES data.user_profile (id),
  owner_tenantid uuid REFERENCES data.tenant (id),
  balance numeric(15, 6) NOT NULL DEFAULT 0,
  overdue_amount numeric(15, 6) NOT NULL DEFAULT 0,
  currency varchar(3) DEFAULT 'USD',
  CONSTRAINT balance_not_negative CHECK (balance >= 0)
);
CREATE TABLE data.usage_log (
  id serial PRIMARY KEY,
  deduction_id varchar(64) NOT NULL,
  virtual_key varchar(128) NOT NULL REFERENCES data.virtual_key (virtual_key),
  account_id uuid NOT NULL REFERENCES data.account_balance (id),
  account_type varchar(16) NOT NULL,
  provider varchar(64) NOT NULL,
  model varchar(128) NOT NULL,
  cost numeric(12, 6) NOT NULL,
  currency varchar(3) NOT NULL DEFAULT 'USD',
  created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
  input_tokens integer DEFAULT 0,
  output_tokens integer DEFAULT 0,
  metadata_json json,
  balance_before numeric(15, 6),
  balance_after numeric(15, 6),
  sync_status data.sync_state NOT NULL DEFAULT 'pending',
  CONSTRAINT usage_log_deduction_unique UNIQUE (deduction_id),
  CONSTRAINT short_models CHECK (length(model) < 40)
);
CREATE TABLE data.account_balance_audit (
  id serial PRIMARY KEY,
  deduction_id varchar(64) UNIQUE,
  account_id uuid NOT NULL REFERENCES data.account_balance (id),
  account_type varchar(16) NOT NULL,
  amount numeric(15, 6) NOT NULL,
  source varchar(32) NOT NULL,
  audit_category varchar(32) NOT NULL CHECK (audit_category IN ('usage', 'top_up')),
  usage_log_id integer REFERENCES data.usage_log (id),
  created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
  sync_status data.sync_state NOT NULL DEFAULT 'pending'
);
CREATE TABLE data.model_price (
  id serial PRIMARY KEY,
  provider varchar(64) NOT NULL,
  model varchar(128) NOT NULL,
  input_price double precision,
  output_price double precision,
  active boolean NOT NULL
);
CREATE INDEX usage_log_created_index ON data.usage_log (created_at);

CREATE VIEW data.billing_accounts AS
SELECT k.virtual_key, a.id AS account_balance_id, coalesce(a.owner_tenantid, a.owner_userid) AS account_id,
       CASE WHEN a.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS account_type,
       u.customer_type_id, a.balance, a.overdue_amount
FROM data.virtual_key k
JOIN data.user_profile u ON u.id = k.user_id
JOIN data.account_balance a ON a.owner_tenantid = u.tenant_id OR u.tenant_id IS NULL AND a.owner_userid = u.id;
CREATE VIEW data.account_balances AS SELECT id, owner_userid, owner_tenantid, balance FROM data.account_balance;
CREATE VIEW data.virtual_keys AS
SELECT k.virtual_key, k.user_id, u.tenant_id FROM data.virtual_key k JOIN data.user_profile u ON u.id = k.user_id;
GRANT SELECT ON data.billing_accounts TO PUBLIC;

CREATE FUNCTION data.tell_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('account_balance_updated', json_build_object(
    'account_id', coalesce(NEW.owner_userid, NEW.owner_tenantid), 'account_type', 'user',
    'old_balance', OLD.balance, 'new_balance', NEW.balance)::text);
  RETURN NEW;
END $$;
CREATE TRIGGER tell_balance AFTER UPDATE OF balance ON data.account_balance
FOR EACH ROW WHEN (OLD.balance IS DISTINCT FROM NEW.balance) EXECUTE FUNCTION data.tell_balance();

INSERT INTO data.customer_type (id, name) VALUES ('00000000-0000-4000-8000-000000000001', 'standard');
INSERT INTO data.tenant (id, name, billing_email, customer_type_id)
VALUES ('00000000-0000-4000-8000-000000000010', 'a tenant', 'billing@tenant.example', '00000000-0000-4000-8000-000000000001');
INSERT INTO data.user_profile (id, email, tenant_id)
VALUES ('00000000-0000-4000-8000-000000000020', 'one@example.com', NULL),
       ('00000000-0000-4000-8000-000000000021', 'two@example.com', '00000000-0000-4000-8000-000000000010');
INSERT INTO data.virtual_key (virtual_key, user_id)
VALUES ('vk_user', '00000000-0000-4000-8000-000000000020'), ('vk_tenant', '00000000-0000-4000-8000-000000000021');
INSERT INTO data.account_balance (id, owner_userid, owner_tenantid, balance)
VALUES ('00000000-0000-4000-8000-000000000030', '00000000-0000-4000-8000-000000000020', NULL, 123.456789),
       ('00000000-0000-4000-8000-000000000031', NULL, '00000000-0000-4000-8000-000000000010', 0);
INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, created_at,
  input_tokens, output_tokens, metadata_json, balance_before, balance_after, sync_status)
SELECT 'old_' || n, 'vk_user', '00000000-0000-4000-8000-000000000030', 'user', 'openai', 'gpt-4o', 0.000001 * n,
  timestamp '2025-03-30 01:30:00' + n * interval '1 minute', n, n, '{"n": 1}', 1000, 1000 - 0.000001 * n, 'synced'
FROM generate_series(1, 5000) n;
INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id, created_at, sync_status)
SELECT deduction_id, account_id, account_type, -cost, 'api_gateway', 'usage', id, created_at, 'synced' FROM data.usage_log;
INSERT INTO data.account_balance_audit (account_id, account_type, amount, source, audit_category, sync_status)
VALUES ('00000000-0000-4000-8000-000000000030', 'user', 200, 'portal', 'top_up', 'synced');
INSERT INTO data.model_price (provider, model, input_price, output_price, active)
VALUES ('openai', 'gpt-4o', 0.0000025, 0.00001, true), ('openai', 'gpt-4o', 0.000005, 0.000015, false);
