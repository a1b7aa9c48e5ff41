-- Releases the expired holds of one account, and notes when its next one expires.
-- after  exact.lua, draw.lua
-- KEYS   1 account  2 the account's holds  3 the shard's accounts by when their next hold expires
-- ARGV   1 the account's member there
-- reply  {sum of what was released(nanos)}

local ACCOUNT, HOLDS, DUE = unpack(KEYS)
local expired, soonest = take_expired(HOLDS, (clock()))
local held = redis.call('HGET', ACCOUNT, 'h')
if held and expired ~= '0' then redis.call('HSET', ACCOUNT, 'h', sub(held, expired)) end
if soonest then redis.call('ZADD', DUE, fmt('%.0f', soonest), ARGV[1]) else redis.call('ZREM', DUE, ARGV[1]) end
return { expired }
