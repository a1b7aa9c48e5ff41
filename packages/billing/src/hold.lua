-- Sets amounts of accounts aside until they are captured, released, or expire: each item whole or not at all.
-- after  exact.lua, draw.lua, items.lua
-- KEYS   as items.lua: per shard epoch, the shard's accounts by when their next hold expires; per item 4: account  remembered request
--        the account's holds  the hold's record
-- ARGV   1 remember_ms  2 keep_ms: how long a record outlives its hold, then as items.lua, per item 14: ttl_ms  amount(nanos)  currency
--        digest  random  account_id  owner_id  account_type  request_id  virtual_key  provider  model  spend limit of the key: 'period
--        nanos' or ''  '1' when our own gateway gives the service, else '0'
-- reply  as items.lua; an item: 'not_loaded' | 'held <id expires_ms available after>' | 'repeated <id>' |
--        'answered <remembered>' | 'conflict' | 'refused <why balance held limit[ drawn reserved]>' | 'spend_unknown' | 'error <text>'

local REMEMBER_MS, KEEP_MS = ARGV[1], ARGV[2]
local ms, iso = clock()
local opened = {} -- what this call remembers: an id may stand in it twice

local function hold(k, a, _, due, remembered)
  local account, request, holds, record = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  local ttl_ms, amount, currency, digest, random, account_id, owner_id, account_type, request_id, key, provider, model, spend_limit, served =
    unpack(ARGV, a, a + 13)

  local known = opened[request] or remembered
  if known then
    if known:sub(1, #digest + 1) ~= digest .. ' ' then return 'conflict' end
    local answer = known:sub(#digest + 2)
    if answer:sub(1, 5) == 'hold ' then return 'repeated ' .. answer:sub(6) end
    return 'answered ' .. answer
  end

  local h = redis.call('HMGET', account, 'b', 'h', 'l', 's', 'c', 's:' .. key)
  local balance, held, limit = h[1], h[2], h[3]
  if not balance then return 'not_loaded' end
  if h[5] ~= currency then return refused('currency_mismatch', balance, held, limit) end
  if h[4] ~= 'active' then return refused('account_frozen', balance, held, limit) end
  local coverable = add(balance, limit)
  held = release_if_short(account, holds, held, sub(coverable, amount), ms)
  local available = sub(coverable, held)
  if less(available, amount) then return refused('insufficient_balance', balance, held, limit) end
  local refusal = spend_refusal(spend_limit, h[6], holds, key, amount, ms, iso, balance, held, limit)
  if refusal then return refusal end

  local id = 'ded_' .. ms .. '_' .. random
  local expires, left = add(ms, ttl_ms), sub(available, amount)
  redis.call('HSET', holds, id, amount .. ' ' .. expires .. ' ' .. served .. ' ' .. key)
  redis.call('HSET', account, 'h', add(held, amount))
  redis.call('ZADD', due, 'LT', expires, account_type .. ':' .. owner_id .. ':' .. account_id)
  redis.call('HSET', record, 'account', account_id, 'amount', amount, 'answered', expires, 'expires', expires, 'available', left,
    'request_id', request_id, 'virtual_key', key, 'provider', provider, 'model', model, 'opened', ms)
  redis.call('PEXPIRE', record, add(ttl_ms, KEEP_MS))
  opened[request] = digest .. ' hold ' .. id
  redis.call('SET', request, opened[request], 'PX', add(ttl_ms, REMEMBER_MS))
  return 'held ' .. id .. ' ' .. expires .. ' ' .. left
end

return answer_items(3, 4, 14, 2, hold)
