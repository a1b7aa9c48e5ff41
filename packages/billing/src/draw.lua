-- Prepended, after exact.lua, to the scripts that draw a cost or set one aside. A hold is open while it stands in its account's hash of
-- holds (id -> 'amount expires_ms'); the account's field h is their sum.

-- The deduction of the 14 arguments from ARGV[a]: account_id owner_id account_type virtual_key cost(nanos) currency provider model
-- input_tokens output_tokens total_tokens request_id usage_source metadata. XADD first: once it is written nothing after it can fail (the
-- account is known to be a hash). Returns balance after and seq.
local function draw(stream, account, balance, debits, seq, deduction_id, iso, a)
  local cost = ARGV[a + 4]
  local after, new_seq = sub(balance, cost), add(seq, '1')
  redis.call('XADD', stream, '*', 'deduction_id', deduction_id, 'account_id', ARGV[a], 'account_owner_id', ARGV[a + 1],
    'account_type', ARGV[a + 2], 'virtual_key', ARGV[a + 3], 'cost', units(cost), 'currency', ARGV[a + 5],
    'provider', ARGV[a + 6], 'model', ARGV[a + 7], 'input_tokens', ARGV[a + 8], 'output_tokens', ARGV[a + 9],
    'total_tokens', ARGV[a + 10], 'timestamp', iso, 'balance_before', units(balance), 'balance_after', units(after),
    'account_seq', new_seq, 'request_id', ARGV[a + 11], 'usage_source', ARGV[a + 12], 'metadata', ARGV[a + 13])
  redis.call('HSET', account, 'b', after, 'd', add(debits, cost), 'q', new_seq)
  return after, new_seq
end

-- Takes the expired ones out of the account's hash of holds. Returns their sum, and when the next of the rest expires (nil: none is left).
local function take_expired(holds, now)
  local all, sum, soonest = redis.call('HGETALL', holds), '0', nil
  for i = 1, #all, 2 do
    local amount, expires = all[i + 1]:match('^(%d+) (%d+)$')
    if tonumber(expires) <= tonumber(now) then
      sum = add(sum, amount)
      redis.call('HDEL', holds, all[i])
    elseif not soonest or tonumber(expires) < soonest then
      soonest = tonumber(expires)
    end
  end
  return sum, soonest
end

-- Nothing may be refused for a hold that is over. Returns what is held.
local function release_if_short(account, holds, held, wanted_below, now)
  if held == '0' or not less(wanted_below, held) then return held end
  local expired = take_expired(holds, now)
  if expired == '0' then return held end
  local rest = sub(held, expired)
  redis.call('HSET', account, 'h', rest)
  return rest
end
