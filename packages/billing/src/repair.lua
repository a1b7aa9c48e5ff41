-- Sets one account to what the books say, by a repair link, once for an operator's action, and only if the account is still as it
-- was looked at. The link starts from where the chain ends, which a lost or foreign write may have made another balance.
-- KEYS   1 stream  2 epoch  3 account  4 remembered action
-- ARGV   1 fence token  2 action id  3 remember_ms  4-7 balance, debits, seq, version as they were looked at ('' for absent)
--        8 seq of the chain's last link  9 its balance_after(nanos)  10 balance(nanos)  11 debits(nanos)  12 credits_version
--        13 limit(nanos)  14 status  15 currency  16 account_id  17 owner_id  18 account_type, then ids of entries written off
-- reply  {'fenced'} | {'repeated', done} | {'not_loaded'} | {'moved'} | {'repaired', done}; done is the text
--        'entry_id seq balance_before balance_after timestamp' (nanos)

local STREAM, EPOCH, ACCOUNT, REMEMBERED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local TOKEN, ACTION, REMEMBER_MS = ARGV[1], ARGV[2], ARGV[3]
local LAST_SEQ, BEFORE, BALANCE, DEBITS, VERSION, LIMIT, STATUS, CURRENCY = unpack(ARGV, 8, 15)
local ACCOUNT_ID, OWNER_ID, ACCOUNT_TYPE = ARGV[16], ARGV[17], ARGV[18]

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local done = redis.call('GET', REMEMBERED)
if done then return { 'repeated', done } end
if redis.call('EXISTS', ACCOUNT) == 0 then return { 'not_loaded' } end
local h = redis.call('HMGET', ACCOUNT, 'b', 'd', 'q', 'v')
for i = 1, 4 do
  if (h[i] or '') ~= ARGV[3 + i] then return { 'moved' } end
end

local _, iso = clock()
local seq = add(LAST_SEQ, '1')
local entry = redis.call('XADD', STREAM, '*', 'kind', 'repair', 'account_id', ACCOUNT_ID, 'account_owner_id', OWNER_ID,
  'account_type', ACCOUNT_TYPE, 'amount', units(sub(BALANCE, BEFORE)), 'credits_version', VERSION,
  'total_credits', units(add(BALANCE, DEBITS)), 'balance_before', units(BEFORE), 'balance_after', units(BALANCE),
  'account_seq', seq, 'timestamp', iso, 'operation_id', ACTION)
redis.call('HSET', ACCOUNT, 'b', BALANCE, 'd', DEBITS, 'q', seq, 'v', VERSION, 'l', LIMIT, 's', STATUS, 'c', CURRENCY)
-- A hash that was no account may lack what is held; nothing is held on it that anybody could capture.
redis.call('HSETNX', ACCOUNT, 'h', '0')
-- What keys drew may lack what the account lacked: it is found again in the books (spend.ts).
for _, field in ipairs(redis.call('HKEYS', ACCOUNT)) do
  if field:sub(1, 2) == 's:' then redis.call('HDEL', ACCOUNT, field) end
end
done = table.concat({ entry, seq, BEFORE, BALANCE, iso }, ' ')
redis.call('SET', REMEMBERED, done, 'PX', REMEMBER_MS)
for i = 19, #ARGV do redis.call('XDEL', STREAM, ARGV[i]) end
return { 'repaired', done }
