-- Prepended, after exact.lua, to the scripts that draw a cost or set one aside. A hold is open while it stands in its account's hash of
-- holds (id -> 'amount expires_ms served virtual_key'); the account's field h is their sum. `served` is '1' for a hold of our own gateway: one
-- that expires was opened by a process that died, and stays there with nothing set aside until the sweep has noted it.
-- What a key drew in a period stands in the account's field 's:<virtual_key>' = 'period start drawn', once somebody asked for its limit;
-- ' seq' after it: what was drawn up to that link is not counted yet (spend.ts).

local call = redis.call
-- When the present period began, in UTC: '2026-11-22', '2026-11', or the number of the week since that of 1970-01-01. Sorts as text.
local function spend_start(period, ms, iso)
  if period == 'day' then return iso:sub(1, 10) end
  if period == 'month' then return iso:sub(1, 7) end
  return fmt('%d', math.floor((math.floor(tonumber(ms) / 86400000) + 3) / 7))
end

-- The field after a cost. In a new period nothing was drawn before it; a clock that went back begins no other.
local function spend_after(field, cost, ms, iso)
  local period, start, drawn, rest = field:match('^(%a+) (%S+) (%d+)(.*)$')
  local now = spend_start(period, ms, iso)
  if now > start then return period .. ' ' .. now .. ' ' .. cost end
  return period .. ' ' .. start .. ' ' .. add(drawn, cost) .. rest
end

local function refused(why, balance, held, limit) return 'refused ' .. why .. ' ' .. balance .. ' ' .. held .. ' ' .. limit end

-- Whether a key may draw an amount, given its limit ('period nanos', or ''). Nil: it may; else the script's reply, whose end is what the
-- key drew in this period and what it holds. Expired holds count for nothing.
local function spend_refusal(limit, field, holds, key, amount, ms, iso, balance, held, credit_limit)
  if limit == '' then return nil end
  local wanted, most = limit:match('^(%a+) (%d+)$')
  local period, start, drawn, rest = (field or ''):match('^(%a+) (%S+) (%d+)(.*)$')
  if period ~= wanted then return 'spend_unknown' end
  if spend_start(period, ms, iso) > start then drawn, rest = '0', '' end
  if rest ~= '' then return 'spend_unknown' end
  -- A key holds no more than its account does: mostly that is enough to know, and no hold is looked at.
  if not less(most, add(add(drawn, held), amount)) then return nil end
  local reserved, now, pattern = '0', tonumber(ms), '^(%d+) (%d+) [01] (.*)$'
  for _, hold in ipairs(redis.call('HVALS', holds)) do
    local sum, expires, of = hold:match(pattern)
    if of == key and tonumber(expires) > now then reserved = add(reserved, sum) end
  end
  if not less(most, add(add(drawn, reserved), amount)) then return nil end
  return refused('spend_limit', balance, held, credit_limit) .. ' ' .. drawn .. ' ' .. reserved
end

-- The deduction of the 14 arguments from ARGV[a]: account_id owner_id account_type virtual_key cost(nanos) currency provider model
-- input_tokens output_tokens total_tokens request_id usage_source metadata. XADD first: once it is written nothing after it can fail (the
-- account is known to be a hash). `spend` is the account's field of the key, where it has one. Returns balance after and seq.
local function draw(stream, account, balance, debits, seq, spend, deduction_id, ms, iso, a)
  local account_id, owner_id, account_type, key, cost, currency, provider, model, input, output, total, request_id, source, metadata =
    unpack(ARGV, a, a + 13)
  local after, new_seq = sub(balance, cost), add(seq, '1')
  local spent = spend and spend_after(spend, cost, ms, iso)
  call('XADD', stream, '*', 'deduction_id', deduction_id, 'account_id', account_id, 'account_owner_id', owner_id,
    'account_type', account_type, 'virtual_key', key, 'cost', units(cost), 'currency', currency,
    'provider', provider, 'model', model, 'input_tokens', input, 'output_tokens', output,
    'total_tokens', total, 'timestamp', iso, 'balance_before', units(balance), 'balance_after', units(after),
    'account_seq', new_seq, 'request_id', request_id, 'usage_source', source, 'metadata', metadata)
  call('HSET', account, 'b', after, 'd', add(debits, cost), 'q', new_seq)
  if spent then call('HSET', account, 's:' .. key, spent) end
  return after, new_seq
end

-- Releases the expired ones of the account's hash of holds. Returns their sum, when the next of the rest is due (nil: none is left), and the
-- ids of those that are to be noted.
local function take_expired(holds, now)
  local all, sum, soonest, to_note = redis.call('HGETALL', holds), '0', nil, {}
  for i = 1, #all, 2 do
    local amount, expires, rest = all[i + 1]:match('^(%d+) (%d+)( .*)$')
    local over, served = tonumber(expires) <= tonumber(now), rest:sub(2, 2) == '1'
    if over then
      sum = add(sum, amount)
      if not served then redis.call('HDEL', holds, all[i]) end
      if served and amount ~= '0' then redis.call('HSET', holds, all[i], '0 ' .. expires .. rest) end
      if served then to_note[#to_note + 1] = all[i] end
    end
    if not over or served then soonest = math.min(soonest or math.huge, tonumber(expires)) end
  end
  return sum, soonest, to_note
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
