-- Applies what Postgres owns of one account (total credits, limit, status), absolute and versioned: newer is applied and
-- appended to the stream as a link, anything else changes nothing. An account that is not loaded is left alone.
-- KEYS   1 stream  2 epoch  3 account
-- ARGV   1 fence token  2 credits_version  3 total_credits(nanos)  4 limit(nanos)  5 status  6 account_id  7 owner_id  8 account_type  9 currency
-- reply  {'fenced'} | {'not_loaded'} | {'applied', amount, before, after, seq} | {'same'} | {'older', version in Redis} |
--        {'conflict', total_credits in Redis}

local STREAM, EPOCH, ACCOUNT = KEYS[1], KEYS[2], KEYS[3]
local TOKEN, VERSION, TOTAL, LIMIT, STATUS, ACCOUNT_ID, OWNER_ID, ACCOUNT_TYPE, CURRENCY = unpack(ARGV)

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local h = redis.call('HMGET', ACCOUNT, 'b', 'd', 'q', 'v', 'l', 's')
local balance, debits, seq, version = h[1], h[2], h[3], h[4]
if not balance then return { 'not_loaded' } end
if less(VERSION, version) then return { 'older', version } end
if VERSION == version then
  if add(balance, debits) == TOTAL and h[5] == LIMIT and h[6] == STATUS then return { 'same' } end
  return { 'conflict', add(balance, debits) }
end

local _, iso = clock()
local after, new_seq = sub(TOTAL, debits), add(seq, '1')
local amount = sub(after, balance)
redis.call('XADD', STREAM, '*', 'kind', 'credit', 'account_id', ACCOUNT_ID, 'account_owner_id', OWNER_ID, 'account_type', ACCOUNT_TYPE,
  'amount', units(amount), 'credits_version', VERSION, 'total_credits', units(TOTAL), 'balance_before', units(balance),
  'balance_after', units(after), 'account_seq', new_seq, 'timestamp', iso)
redis.call('HSET', ACCOUNT, 'b', after, 'q', new_seq, 'v', VERSION, 'l', LIMIT, 's', STATUS, 'c', CURRENCY)
return { 'applied', amount, balance, after, new_seq }
