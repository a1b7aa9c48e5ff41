-- Releases the expired holds of one account, and notes when it is due again. What our own gateway opened and did not end is named to the
-- caller, each time until the caller says that it is noted.
-- after  exact.lua, draw.lua
-- KEYS   1 account  2 the account's holds  3 the shard's accounts by when their next hold expires
-- ARGV   1 the account's member there  2... ids that are noted
-- reply  {id to note...}

local ACCOUNT, HOLDS, DUE = unpack(KEYS)
if #ARGV > 1 then redis.call('HDEL', HOLDS, unpack(ARGV, 2)) end
local expired, soonest, to_note = take_expired(HOLDS, (clock()))
local held = redis.call('HGET', ACCOUNT, 'h')
if held and expired ~= '0' then redis.call('HSET', ACCOUNT, 'h', sub(held, expired)) end
if soonest then redis.call('ZADD', DUE, fmt('%.0f', soonest), ARGV[1]) else redis.call('ZREM', DUE, ARGV[1]) end
return to_note
