-- Gives back what was set aside. With `fold` the hold and its request id are forgotten: nothing was given, and the id may come again.
-- after  exact.lua
-- KEYS   1 epoch  2 account  3 the account's holds  4 the hold's record  5 remembered request ('' without fold: the record again)
-- ARGV   1 fence token  2 keep_ms  3 hold id  4 account_id  5 fold ('1' or '0')
-- reply  {'fenced'} | {'voided'} | {'closed'} | {'unknown'}

local EPOCH, ACCOUNT, HOLDS, RECORD, REQUEST = unpack(KEYS)
local TOKEN, KEEP_MS, ID, ACCOUNT_ID, FOLD = unpack(ARGV)

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local record = redis.call('HMGET', RECORD, 'account', 'state')
if record[1] ~= ACCOUNT_ID then return { 'unknown' } end
if record[2] == 'captured' then return { 'closed' } end
if record[2] == 'voided' then return { 'voided' } end
local open = redis.call('HGET', HOLDS, ID)
if open then
  local held = redis.call('HGET', ACCOUNT, 'h') -- an account that is not loaded will be, with what is open then
  if held then redis.call('HSET', ACCOUNT, 'h', sub(held, open:match('^%d+'))) end
  redis.call('HDEL', HOLDS, ID)
end
if FOLD == '1' then
  redis.call('DEL', RECORD, REQUEST)
else
  redis.call('HSET', RECORD, 'state', 'voided')
  redis.call('PEXPIRE', RECORD, KEEP_MS)
end
return { 'voided' }
