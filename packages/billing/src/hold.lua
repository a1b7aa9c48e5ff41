-- Sets an amount of an account aside until it is captured, released, or expires.
-- after  exact.lua, draw.lua
-- KEYS   1 epoch  2 account  3 remembered request  4 the account's holds  5 the shard's accounts by when their next hold expires
--        6 the hold's record
-- ARGV   1 fence token  2 remember_ms  3 keep_ms: how long a record outlives its hold  4 ttl_ms  5 amount(nanos)  6 currency
--        7 digest  8 random  9 account_id  10 owner_id  11 account_type  12 request_id  13 virtual_key  14 provider  15 model
--        16 spend limit of the key: 'period nanos' or ''  17 '1' when our own gateway gives the service, else '0'
-- reply  {'fenced'} | {'not_loaded'} | {'held', id, expires_ms, available after} | {'repeated', id} | {'answered', remembered} |
--        {'conflict'} | {'refused', why, balance, held, limit[, drawn, reserved]} | {'spend_unknown'}

local EPOCH, ACCOUNT, REQUEST, HOLDS, DUE, RECORD = unpack(KEYS)
local TOKEN, REMEMBER_MS, KEEP_MS, TTL_MS, AMOUNT, CURRENCY, DIGEST, RANDOM, ACCOUNT_ID, OWNER_ID, ACCOUNT_TYPE = unpack(ARGV, 1, 11)

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local known = redis.call('GET', REQUEST)
if known then
  if known:sub(1, #DIGEST + 1) ~= DIGEST .. ' ' then return { 'conflict' } end
  local answer = known:sub(#DIGEST + 2)
  if answer:sub(1, 5) == 'hold ' then return { 'repeated', answer:sub(6) } end
  return { 'answered', answer }
end

local h = redis.call('HMGET', ACCOUNT, 'b', 'h', 'l', 's', 'c', 's:' .. ARGV[13])
local balance, held, limit = h[1], h[2], h[3]
if not balance then return { 'not_loaded' } end
if h[5] ~= CURRENCY then return { 'refused', 'currency_mismatch', balance, held, limit } end
if h[4] ~= 'active' then return { 'refused', 'account_frozen', balance, held, limit } end
local ms, iso = clock()
held = release_if_short(ACCOUNT, HOLDS, held, sub(add(balance, limit), AMOUNT), ms)
local available = sub(add(balance, limit), held)
if less(available, AMOUNT) then return { 'refused', 'insufficient_balance', balance, held, limit } end
local refusal = spend_refusal(ARGV[16], h[6], HOLDS, ARGV[13], AMOUNT, ms, iso, balance, held, limit)
if refusal then return refusal end

local id = 'ded_' .. ms .. '_' .. RANDOM
local expires, left = add(ms, TTL_MS), sub(available, AMOUNT)
redis.call('HSET', HOLDS, id, AMOUNT .. ' ' .. expires .. ' ' .. ARGV[17] .. ' ' .. ARGV[13])
redis.call('HSET', ACCOUNT, 'h', add(held, AMOUNT))
redis.call('ZADD', DUE, 'LT', expires, ACCOUNT_TYPE .. ':' .. OWNER_ID .. ':' .. ACCOUNT_ID)
redis.call('HSET', RECORD, 'account', ACCOUNT_ID, 'amount', AMOUNT, 'answered', expires, 'expires', expires, 'available', left, 'request_id', ARGV[12],
  'virtual_key', ARGV[13], 'provider', ARGV[14], 'model', ARGV[15], 'opened', ms)
redis.call('PEXPIRE', RECORD, add(TTL_MS, KEEP_MS))
redis.call('SET', REQUEST, DIGEST .. ' hold ' .. id, 'PX', add(TTL_MS, REMEMBER_MS))
return { 'held', id, expires, left }
