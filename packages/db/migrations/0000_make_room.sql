-- Taking over a database of the replaced system, part 1 (0002 is part 2; on any other database both do nothing).
--
-- Its tables have our names, with rows, and its workers go on inserting. This migration locks them and moves them aside,
-- 0001 makes ours, and 0002 brings the old tables to the shape of ours, column by column from the catalogue, and puts
-- them back: they stay the same tables to everybody else (grants, foreign keys from other schemas, inserts that wait).
-- All of it is one transaction: nobody ever sees a table missing.

CREATE SCHEMA IF NOT EXISTS data;
--> statement-breakpoint
-- An older worker holds usage_log and asks for the audit table next; the business system may hold an account and ask for
-- either. We wait with nothing held for the first table, and for the others far less than deadlock_timeout, then let go
-- and start again: whoever meets us waits, and is never the victim of a deadlock.
DO $$
DECLARE
  found text[] := ARRAY(
    SELECT t.name
    FROM unnest(ARRAY['usage_log', 'account_balance_audit', 'account_balance', 'virtual_key', 'user_profile', 'tenant',
      'customer_type', 'provider', 'model_price', 'dead_letter', 'operator_action', 'alert', 'shard', 'setting'])
      WITH ORDINALITY AS t(name, place)
    WHERE to_regclass('data.' || t.name) IS NOT NULL ORDER BY place);
  not_tables text;
BEGIN
  IF found = '{}' THEN
    RETURN;
  END IF;
  SELECT string_agg(name, ', ') INTO not_tables FROM unnest(found) AS name, pg_class c
  WHERE c.oid = to_regclass('data.' || name) AND c.relkind <> 'r';
  IF not_tables IS NOT NULL THEN
    RAISE EXCEPTION 'cannot take over schema data: % must be ordinary tables', not_tables;
  END IF;
  RAISE NOTICE 'drawdown: taking over % of the replaced system', array_to_string(found, ', ');
  LOOP
    BEGIN
      FOR place IN 1 .. cardinality(found) LOOP
        PERFORM set_config('lock_timeout', CASE place WHEN 1 THEN '2s' ELSE '100ms' END, true);
        EXECUTE format('LOCK TABLE data.%I IN ACCESS EXCLUSIVE MODE', found[place]);
      END LOOP;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      RAISE NOTICE 'drawdown: the tables are in use, trying again';
      PERFORM pg_sleep(0.05 + random() / 5);
    END;
  END LOOP;
  PERFORM set_config('lock_timeout', '0', true);

  CREATE SCHEMA data_taken_over;
  FOR place IN 1 .. cardinality(found) LOOP
    EXECUTE format('ALTER TABLE data.%I SET SCHEMA data_taken_over', found[place]);
  END LOOP;
END $$;
--> statement-breakpoint
-- The views are made anew in 0003; who could read them still can.
CREATE TEMP TABLE view_grant ON COMMIT DROP AS
SELECT c.relname AS view, g.grantee, g.privilege_type
FROM pg_class c, aclexplode(c.relacl) g
WHERE c.relnamespace = 'data'::regnamespace AND c.relkind = 'v'
  AND c.relname IN ('billing_accounts', 'account_balances', 'virtual_keys') AND g.grantee <> c.relowner;
--> statement-breakpoint
DROP VIEW IF EXISTS data.billing_accounts, data.account_balances, data.virtual_keys;
--> statement-breakpoint
-- What would refuse our rows goes: our own constraints take its place in 0002. So do triggers that send our
-- notification: they would send it at every settled deduction, and ours says more.
DO $$
DECLARE
  old record;
BEGIN
  FOR old IN
    SELECT t.relname AS tab, c.conname AS name, pg_get_constraintdef(c.oid) AS definition
    FROM pg_constraint c
    JOIN pg_class t ON t.oid = c.conrelid AND t.relnamespace = to_regnamespace('data_taken_over')
    LEFT JOIN pg_class f ON f.oid = c.confrelid
    WHERE c.contype = 'c' OR c.contype = 'f' AND f.relnamespace = t.relnamespace
  LOOP
    EXECUTE format('ALTER TABLE data_taken_over.%I DROP CONSTRAINT %I', old.tab, old.name);
    RAISE NOTICE 'drawdown: dropped from data.%: % %', old.tab, old.name, old.definition;
  END LOOP;
  FOR old IN
    SELECT g.tgname AS name, p.oid::regprocedure AS calls FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE g.tgrelid = to_regclass('data_taken_over.account_balance') AND NOT g.tgisinternal
      AND p.prosrc LIKE '%account_balance_updated%'
  LOOP
    EXECUTE format('DROP TRIGGER %I ON data_taken_over.account_balance', old.name);
    RAISE NOTICE 'drawdown: dropped trigger % of account_balance, which called %', old.name, old.calls;
  END LOOP;
END $$;
