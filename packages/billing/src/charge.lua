-- Draws charges from accounts of one shard: check, deduct, append the entry and remember the request id, each item
-- whole or not at all. An item that cannot be read or written is answered alone and harms no other.
-- KEYS   1 stream  2 epoch, then per item: account, remembered request
-- ARGV   1 fence token  2 remember_ms, then per item 17: account_id owner_id account_type virtual_key cost(nanos) currency
--        provider model input_tokens output_tokens total_tokens request_id usage_source metadata digest random delivered
--        delivered: '1' when the service was given already, so the cost is recorded whatever the balance
-- reply  {'fenced'} | {'done', item...}; an item is {'charged', deduction_id, before, after, seq} (nanos) |
--        {'repeated', remembered} | {'conflict'} | {'refused', why, balance, held, limit} | {'not_loaded'} | {'error', text}

local STREAM, EPOCH, TOKEN, REMEMBER_MS = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ITEM = 17
local ms, iso = clock()

local function charge(account, request, a)
  local account_id, owner_id, account_type, virtual_key, cost, currency = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local request_id, digest, random, delivered = ARGV[a + 11], ARGV[a + 14], ARGV[a + 15], ARGV[a + 16] == '1'

  local known = redis.call('GET', request)
  if known then
    if known:sub(1, #digest + 1) == digest .. ' ' then return { 'repeated', known:sub(#digest + 2) } end
    return { 'conflict' }
  end

  local h = redis.call('HMGET', account, 'b', 'h', 'd', 'q', 'l', 's', 'c')
  local balance, held, debits, seq, limit = h[1], h[2], h[3], h[4], h[5]
  if not balance then return { 'not_loaded' } end
  if h[7] ~= currency then return { 'refused', 'currency_mismatch', balance, held, limit } end
  if not delivered then
    if h[6] ~= 'active' then return { 'refused', 'account_frozen', balance, held, limit } end
    if less(sub(add(balance, limit), held), cost) then return { 'refused', 'insufficient_balance', balance, held, limit } end
  end

  local deduction_id = 'ded_' .. ms .. '_' .. random
  local after, new_debits, new_seq = sub(balance, cost), add(debits, cost), add(seq, '1')
  -- XADD first: once it is written nothing after it can fail (the account is known to be a hash, SET takes any key).
  redis.call('XADD', STREAM, '*', 'deduction_id', deduction_id, 'account_id', account_id, 'account_owner_id', owner_id,
    'account_type', account_type, 'virtual_key', virtual_key, 'cost', units(cost), 'currency', currency,
    'provider', ARGV[a + 6], 'model', ARGV[a + 7], 'input_tokens', ARGV[a + 8], 'output_tokens', ARGV[a + 9],
    'total_tokens', ARGV[a + 10], 'timestamp', iso, 'balance_before', units(balance), 'balance_after', units(after),
    'account_seq', new_seq, 'request_id', request_id, 'usage_source', ARGV[a + 12], 'metadata', ARGV[a + 13])
  redis.call('HSET', account, 'b', after, 'd', new_debits, 'q', new_seq)
  redis.call('SET', request, digest .. ' ' .. deduction_id .. ' ' .. cost .. ' ' .. balance .. ' ' .. after .. ' ' .. new_seq, 'PX', REMEMBER_MS)
  return { 'charged', deduction_id, balance, after, new_seq }
end

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local replies = { 'done' }
for i = 1, (#KEYS - 2) / 2 do
  local fine, reply = pcall(charge, KEYS[i * 2 + 1], KEYS[i * 2 + 2], (i - 1) * ITEM + 3)
  replies[i + 1] = fine and reply or { 'error', type(reply) == 'table' and reply.err or tostring(reply) }
end
return replies
