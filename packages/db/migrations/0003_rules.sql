-- What Drizzle's schema cannot say: triggers, post_credit, views, notifications.
-- Functions fix their search_path, and run as their owner where they write the books, so that a business role which may
-- update an account's balance needs no right on the audit table.

-- 1. Every change of an account's credits, limit or status: a version, an audit row, a notification.

-- A settled own deduction moves balance and total_debits by the same amount: no WHEN below holds, no function runs.
CREATE FUNCTION data.account_balance_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.credits_version := 1;
  ELSIF NEW.balance + NEW.total_debits IS DISTINCT FROM OLD.balance + OLD.total_debits
     OR NEW.credit_limit IS DISTINCT FROM OLD.credit_limit
     OR NEW.status IS DISTINCT FROM OLD.status
     OR NEW.currency IS DISTINCT FROM OLD.currency THEN
    NEW.credits_version := OLD.credits_version + 1; -- under the row lock, so in commit order and without gaps
    NEW.updated_at := now();
  ELSE
    NEW.credits_version := OLD.credits_version; -- somebody wrote a version by hand
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER account_balance_version_insert BEFORE INSERT ON data.account_balance
FOR EACH ROW EXECUTE FUNCTION data.account_balance_version();
--> statement-breakpoint
-- Generated columns are not computed yet in a BEFORE trigger, hence the sums.
CREATE TRIGGER account_balance_version_update BEFORE UPDATE ON data.account_balance
FOR EACH ROW WHEN (
  NEW.balance + NEW.total_debits IS DISTINCT FROM OLD.balance + OLD.total_debits
  OR NEW.credit_limit IS DISTINCT FROM OLD.credit_limit
  OR NEW.status IS DISTINCT FROM OLD.status
  OR NEW.currency IS DISTINCT FROM OLD.currency
  OR NEW.credits_version IS DISTINCT FROM OLD.credits_version
) EXECUTE FUNCTION data.account_balance_version();
--> statement-breakpoint
-- An account's place in Redis is named by its owner: an account that changed hands would lose its balance there.
CREATE FUNCTION data.account_balance_owner_fixed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'account_owner_fixed' USING ERRCODE = 'DD005',
    DETAIL = format('The owner of account %s cannot change; open an account for the new owner.', OLD.id);
END $$;
--> statement-breakpoint
CREATE TRIGGER account_balance_owner_fixed BEFORE UPDATE ON data.account_balance
FOR EACH ROW WHEN (
  NEW.id IS DISTINCT FROM OLD.id
  OR NEW.owner_userid IS DISTINCT FROM OLD.owner_userid
  OR NEW.owner_tenantid IS DISTINCT FROM OLD.owner_tenantid
) EXECUTE FUNCTION data.account_balance_owner_fixed();
--> statement-breakpoint
-- Who and why are handed over by transaction-local settings (drawdown.source, .category, .reason, .actor, .reference);
-- without them it is plain SQL by whoever is connected.
CREATE FUNCTION data.account_balance_credit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  opening boolean := TG_OP = 'INSERT';
  change numeric := NEW.total_credits - CASE WHEN opening THEN 0 ELSE OLD.total_credits END;
  owner_type text := CASE WHEN NEW.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END;
  given_source text := coalesce(nullif(current_setting('drawdown.source', true), ''), 'sql');
  given_category text := nullif(current_setting('drawdown.category', true), '');
  why text := nullif(current_setting('drawdown.reason', true), '');
  who text := nullif(current_setting('drawdown.actor', true), '');
BEGIN
  IF why IS NULL AND opening THEN
    why := 'account opened';
  ELSIF why IS NULL THEN
    why := nullif(concat_ws(', ',
      CASE WHEN NEW.status <> OLD.status THEN format('status %s -> %s', OLD.status, NEW.status) END,
      CASE WHEN NEW.credit_limit <> OLD.credit_limit THEN format('credit limit %s -> %s', OLD.credit_limit, NEW.credit_limit) END,
      CASE WHEN NEW.currency <> OLD.currency THEN format('currency %s -> %s', OLD.currency, NEW.currency) END), '');
  END IF;

  INSERT INTO data.account_balance_audit (
    account_id, account_type, amount, source, audit_category, sync_status, credits_version, reason, actor, reference, kind)
  VALUES (
    NEW.id, owner_type, change, given_source,
    CASE WHEN change = 0 THEN 'adjustment'
         WHEN given_category IS NOT NULL THEN given_category
         WHEN change > 0 THEN 'top_up' ELSE 'adjustment' END,
    'pending', NEW.credits_version, why,
    coalesce(who, CASE WHEN given_source = 'sql' THEN session_user::text END),
    nullif(current_setting('drawdown.reference', true), ''), 'credit');

  PERFORM pg_notify('account_balance_updated', json_build_object(
    'account_id', coalesce(NEW.owner_userid, NEW.owner_tenantid),
    'account_type', owner_type,
    'old_balance', CASE WHEN opening THEN '0.000000000' ELSE OLD.balance::text END,
    'new_balance', NEW.balance::text,
    'account_balance_id', NEW.id,
    'total_credits', NEW.total_credits::text,
    'credits_version', NEW.credits_version::text)::text);

  -- Gateways remember which account, in which currency, a key is billed to.
  IF opening OR NEW.currency <> OLD.currency THEN
    PERFORM pg_notify('virtual_key_updated', k.virtual_key)
    FROM data.virtual_key k JOIN data.user_profile u ON u.id = k.user_id
    WHERE u.id = NEW.owner_userid OR u.tenant_id = NEW.owner_tenantid;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
REVOKE EXECUTE ON FUNCTION data.account_balance_credit() FROM PUBLIC;
--> statement-breakpoint
CREATE TRIGGER account_balance_credit_insert AFTER INSERT ON data.account_balance
FOR EACH ROW EXECUTE FUNCTION data.account_balance_credit();
--> statement-breakpoint
CREATE TRIGGER account_balance_credit_update AFTER UPDATE ON data.account_balance
FOR EACH ROW WHEN (NEW.credits_version IS DISTINCT FROM OLD.credits_version)
EXECUTE FUNCTION data.account_balance_credit();
--> statement-breakpoint
-- Settling updates the same rows again and again and touches no indexed column: with room in the page the updates are HOT.
ALTER TABLE data.account_balance SET (fillfactor = 60);
--> statement-breakpoint

-- 2. post_credit moves an account's balance by p_amount and returns the audit row of it. With a p_reference that was used
-- before, it returns the first row and changes nothing, or raises reference_conflict (DD001) when account or amount differ.
-- Raises unknown_account (DD002), invalid_amount (DD003), invalid_credit (DD004: category or reference), and 23514
-- account_balance_total_credits_check when the account cannot hold that much.
CREATE FUNCTION data.post_credit(
  p_account_id uuid, p_amount numeric, p_category text, p_reference text, p_reason text, p_actor text
) RETURNS data.account_balance_audit
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  credit data.account_balance_audit;
  new_version bigint;
BEGIN
  IF p_amount IS NULL OR p_amount IN ('NaN', 'Infinity', '-Infinity') OR p_amount = 0 THEN
    RAISE EXCEPTION 'invalid_amount' USING ERRCODE = 'DD003',
      DETAIL = format('An amount other than zero is needed, not %s.', coalesce(p_amount::text, 'null'));
  ELSIF p_amount <> trunc(p_amount, 9) THEN
    RAISE EXCEPTION 'invalid_amount' USING ERRCODE = 'DD003', DETAIL = format('%s has more than 9 decimals.', p_amount);
  ELSIF p_category IS NULL OR p_category NOT IN ('top_up', 'refund', 'adjustment') THEN
    RAISE EXCEPTION 'invalid_credit' USING ERRCODE = 'DD004',
      DETAIL = format('The category is top_up, refund or adjustment, not %s.', coalesce(p_category, 'null'));
  ELSIF p_amount < 0 AND p_category <> 'adjustment' THEN
    RAISE EXCEPTION 'invalid_amount' USING ERRCODE = 'DD003',
      DETAIL = format('A %s cannot be negative; an adjustment can.', p_category);
  ELSIF length(p_reference) NOT BETWEEN 1 AND 512 THEN
    RAISE EXCEPTION 'invalid_credit' USING ERRCODE = 'DD004', DETAIL = 'A reference has 1 to 512 characters.';
  END IF;

  IF p_reference IS NOT NULL THEN
    -- Two callers with one reference: the second waits here until the first has committed, and then finds its row.
    PERFORM pg_advisory_xact_lock(hashtextextended('drawdown.post_credit:' || p_reference, 0));
    SELECT * INTO credit FROM data.account_balance_audit WHERE reference = p_reference;
    IF FOUND THEN
      IF credit.account_id = p_account_id AND credit.amount = p_amount THEN
        RETURN credit;
      END IF;
      RAISE EXCEPTION 'reference_conflict' USING ERRCODE = 'DD001',
        DETAIL = format('Reference %s was used for %s on account %s.', p_reference, credit.amount, credit.account_id);
    END IF;
  END IF;

  PERFORM set_config('drawdown.source', 'post_credit', true),
    set_config('drawdown.category', p_category, true),
    set_config('drawdown.reference', coalesce(p_reference, ''), true),
    set_config('drawdown.reason', coalesce(p_reason, ''), true),
    set_config('drawdown.actor', coalesce(p_actor, ''), true);
  UPDATE data.account_balance SET balance = balance + p_amount WHERE id = p_account_id
  RETURNING credits_version INTO new_version;
  -- Whatever else this transaction does is not this credit. (An exception takes the settings back by itself.)
  PERFORM set_config('drawdown.source', '', true),
    set_config('drawdown.category', '', true),
    set_config('drawdown.reference', '', true),
    set_config('drawdown.reason', '', true),
    set_config('drawdown.actor', '', true);
  IF new_version IS NULL THEN
    RAISE EXCEPTION 'unknown_account' USING ERRCODE = 'DD002',
      DETAIL = format('There is no account %s.', coalesce(p_account_id::text, 'null'));
  END IF;

  SELECT * INTO STRICT credit FROM data.account_balance_audit
  WHERE account_id = p_account_id AND credits_version = new_version;
  RETURN credit;
END $$;
--> statement-breakpoint

-- 3. Keys, prices and providers: what others remember of them is invalidated at once.

-- Writing either column of a key revokes it, so that a hand-written UPDATE of one cannot leave the other behind.
CREATE FUNCTION data.virtual_key_status() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  was_revoked boolean := TG_OP = 'UPDATE' AND OLD.revoked_at IS NOT NULL;
BEGIN
  IF was_revoked AND (NEW.status = 'active' AND OLD.status = 'revoked' AND NEW.revoked_at = OLD.revoked_at
                      OR NEW.revoked_at IS NULL AND NEW.status = OLD.status) THEN
    NEW.status := 'active';
    NEW.revoked_at := NULL;
  ELSIF NEW.status = 'revoked' AND NEW.revoked_at IS NULL THEN
    NEW.revoked_at := now();
  ELSIF NEW.status = 'active' AND NEW.revoked_at IS NOT NULL THEN
    NEW.status := 'revoked';
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER virtual_key_status BEFORE INSERT OR UPDATE ON data.virtual_key
FOR EACH ROW EXECUTE FUNCTION data.virtual_key_status();
--> statement-breakpoint
-- Payload: the virtual key.
CREATE FUNCTION data.virtual_key_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('virtual_key_updated', OLD.virtual_key);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('virtual_key_updated', NEW.virtual_key); -- the same again in one transaction is sent once
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER virtual_key_changed AFTER INSERT OR UPDATE OR DELETE ON data.virtual_key
FOR EACH ROW EXECUTE FUNCTION data.virtual_key_changed();
--> statement-breakpoint
-- A user who moves to another tenant, or whose customer type changes, is billed elsewhere or otherwise.
CREATE FUNCTION data.user_profile_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('virtual_key_updated', k.virtual_key) FROM data.virtual_key k WHERE k.user_id = NEW.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
REVOKE EXECUTE ON FUNCTION data.user_profile_changed() FROM PUBLIC;
--> statement-breakpoint
CREATE TRIGGER user_profile_changed AFTER UPDATE ON data.user_profile
FOR EACH ROW WHEN (NEW.tenant_id IS DISTINCT FROM OLD.tenant_id OR NEW.customer_type_id IS DISTINCT FROM OLD.customer_type_id)
EXECUTE FUNCTION data.user_profile_changed();
--> statement-breakpoint
CREATE FUNCTION data.tenant_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('virtual_key_updated', k.virtual_key)
  FROM data.virtual_key k JOIN data.user_profile u ON u.id = k.user_id WHERE u.tenant_id = NEW.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
REVOKE EXECUTE ON FUNCTION data.tenant_changed() FROM PUBLIC;
--> statement-breakpoint
CREATE TRIGGER tenant_changed AFTER UPDATE ON data.tenant
FOR EACH ROW WHEN (NEW.customer_type_id IS DISTINCT FROM OLD.customer_type_id)
EXECUTE FUNCTION data.tenant_changed();
--> statement-breakpoint
-- Payload: {"provider": …, "model": …}.
CREATE FUNCTION data.model_price_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('model_price_updated', json_build_object('provider', OLD.provider, 'model', OLD.model)::text);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('model_price_updated', json_build_object('provider', NEW.provider, 'model', NEW.model)::text);
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER model_price_changed AFTER INSERT OR UPDATE OR DELETE ON data.model_price
FOR EACH ROW EXECUTE FUNCTION data.model_price_changed();
--> statement-breakpoint
-- Payload: {"provider": …, "model": null}: all of that provider.
CREATE FUNCTION data.provider_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('model_price_updated', json_build_object('provider', OLD.name, 'model', NULL)::text);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('model_price_updated', json_build_object('provider', NEW.name, 'model', NULL)::text);
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER provider_changed AFTER INSERT OR UPDATE OR DELETE ON data.provider
FOR EACH ROW EXECUTE FUNCTION data.provider_changed();
--> statement-breakpoint

-- 4. Views: the names that other systems read.

-- virtual_key → user → tenant → account. A user who has a tenant is billed to the tenant's account, else to his own.
-- Two joins rather than one with OR: each is a look-up in a unique index.
CREATE VIEW data.billing_accounts AS
SELECT k.virtual_key,
       coalesce(of_tenant.id, of_user.id) AS account_balance_id,
       coalesce(of_tenant.owner_tenantid, of_user.owner_userid) AS account_id,
       CASE WHEN of_tenant.id IS NULL THEN 'user' ELSE 'tenant' END AS account_type,
       coalesce(u.customer_type_id, t.customer_type_id) AS customer_type_id,
       coalesce(of_tenant.balance, of_user.balance) AS balance,
       coalesce(of_tenant.overdue_amount, of_user.overdue_amount) AS overdue_amount
FROM data.virtual_key k
JOIN data.user_profile u ON u.id = k.user_id
LEFT JOIN data.tenant t ON t.id = u.tenant_id
LEFT JOIN data.account_balance of_tenant ON of_tenant.owner_tenantid = u.tenant_id
LEFT JOIN data.account_balance of_user ON of_user.owner_userid = u.id AND u.tenant_id IS NULL
WHERE coalesce(of_tenant.id, of_user.id) IS NOT NULL;
--> statement-breakpoint
CREATE VIEW data.account_balances AS
SELECT id, owner_userid, owner_tenantid, balance FROM data.account_balance;
--> statement-breakpoint
CREATE VIEW data.virtual_keys AS
SELECT k.virtual_key, k.user_id, u.tenant_id
FROM data.virtual_key k JOIN data.user_profile u ON u.id = k.user_id;
--> statement-breakpoint
DO $$
DECLARE
  old record;
BEGIN
  FOR old IN SELECT * FROM view_grant LOOP
    EXECUTE format('GRANT %s ON data.%I TO %s', old.privilege_type, old.view,
      CASE old.grantee WHEN 0 THEN 'PUBLIC' ELSE old.grantee::regrole::text END);
  END LOOP;
END $$;
