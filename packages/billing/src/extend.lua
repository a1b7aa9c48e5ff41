-- Moves the expiry of a hold that is open. One that is over stays over: what it set aside may be spent already.
-- after  exact.lua
-- KEYS   1 epoch  2 the account's holds  3 the hold's record  4 remembered request
-- ARGV   1 fence token  2 remember_ms  3 keep_ms  4 hold id  5 account_id  6 ttl_ms
-- reply  {'fenced'} | {'extended', expires_ms} | {'closed'} | {'unknown'}

local EPOCH, HOLDS, RECORD, REQUEST = unpack(KEYS)
local TOKEN, REMEMBER_MS, KEEP_MS, ID, ACCOUNT_ID, TTL_MS = unpack(ARGV)

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
if redis.call('HGET', RECORD, 'account') ~= ACCOUNT_ID then return { 'unknown' } end
local open = redis.call('HGET', HOLDS, ID)
local amount, until_ms, key = (open or ''):match('^(%d+) (%d+) (.*)$')
local ms = clock()
if not open or tonumber(until_ms) <= tonumber(ms) then return { 'closed' } end
local expires = add(ms, TTL_MS)
redis.call('HSET', HOLDS, ID, amount .. ' ' .. expires .. ' ' .. key)
redis.call('HSET', RECORD, 'expires', expires)
redis.call('PEXPIRE', RECORD, add(TTL_MS, KEEP_MS))
redis.call('PEXPIRE', REQUEST, add(TTL_MS, REMEMBER_MS))
return { 'extended', expires }
