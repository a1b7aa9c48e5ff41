-- Draws charges from accounts of one shard: check, deduct, append the entry and remember the request id, each item
-- whole or not at all. An item that cannot be read or written is answered alone and harms no other.
-- KEYS   1 stream  2 epoch, then per item: account, remembered request, the account's holds
-- after  exact.lua, draw.lua
-- ARGV   1 fence token  2 remember_ms, then per item 18: account_id owner_id account_type virtual_key cost(nanos) currency
--        provider model input_tokens output_tokens total_tokens request_id usage_source metadata digest random delivered spend_limit
--        delivered: '1' when the service was given already, so the cost is recorded whatever the balance; spend_limit: 'period nanos' or ''
-- reply  {'fenced'} | {'done', item...}; an item is {'charged', deduction_id, before, after, seq} (nanos) |
--        {'repeated', remembered} | {'conflict'} | {'refused', why, balance, held, limit[, drawn, reserved]} |
--        {'not_loaded'} | {'spend_unknown'} | {'error', text}

local STREAM, EPOCH, TOKEN, REMEMBER_MS = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ITEM = 18
local ms, iso = clock()

local function charge(account, request, holds, a)
  local key, cost, currency, digest, random = ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 14], ARGV[a + 15]
  local delivered, spend_limit = ARGV[a + 16] == '1', ARGV[a + 17]

  local known = redis.call('GET', request)
  if known then
    local answer = known:sub(#digest + 2)
    if known:sub(1, #digest + 1) == digest .. ' ' and answer:sub(1, 5) ~= 'hold ' then return { 'repeated', answer } end
    return { 'conflict' }
  end

  local h = redis.call('HMGET', account, 'b', 'h', 'd', 'q', 'l', 's', 'c', 's:' .. key)
  local balance, held, debits, seq, limit = h[1], h[2], h[3], h[4], h[5]
  if not balance then return { 'not_loaded' } end
  if h[7] ~= currency then return { 'refused', 'currency_mismatch', balance, held, limit } end
  if not delivered then
    if h[6] ~= 'active' then return { 'refused', 'account_frozen', balance, held, limit } end
    held = release_if_short(account, holds, held, sub(add(balance, limit), cost), ms)
    if less(sub(add(balance, limit), held), cost) then return { 'refused', 'insufficient_balance', balance, held, limit } end
    local refusal = spend_refusal(spend_limit, h[8], holds, key, cost, ms, iso, balance, held, limit)
    if refusal then return refusal end
  end

  local deduction_id = 'ded_' .. ms .. '_' .. random
  local after, new_seq = draw(STREAM, account, balance, debits, seq, h[8], deduction_id, ms, iso, a)
  redis.call('SET', request, digest .. ' ' .. deduction_id .. ' ' .. cost .. ' ' .. balance .. ' ' .. after .. ' ' .. new_seq, 'PX', REMEMBER_MS)
  return { 'charged', deduction_id, balance, after, new_seq }
end

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local replies = { 'done' }
for i = 1, (#KEYS - 2) / 3 do
  local fine, reply = pcall(charge, KEYS[i * 3], KEYS[i * 3 + 1], KEYS[i * 3 + 2], (i - 1) * ITEM + 3)
  replies[i + 1] = fine and reply or { 'error', type(reply) == 'table' and reply.err or tostring(reply) }
end
return replies
