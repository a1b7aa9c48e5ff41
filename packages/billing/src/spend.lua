-- Finds out what a key drew in the present period, in two calls: the first begins to count and says from which link on; the second adds
-- what the books and the stream say was drawn up to it. Two who do so at once come to the same.
-- after  exact.lua, draw.lua
-- KEYS   1 epoch  2 account
-- ARGV   1 fence token  2 virtual_key  3 period, and in the second call  4 start  5 seq  6 drawn up to that seq(nanos)
-- reply  {'fenced'} | {'not_loaded'} | {'known'} | {'counting', start, seq}

local EPOCH, ACCOUNT = KEYS[1], KEYS[2]
local TOKEN, KEY, PERIOD, START, SEQ, BEFORE = unpack(ARGV)
local FIELD = 's:' .. KEY

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local h = redis.call('HMGET', ACCOUNT, 'q', FIELD)
if not h[1] then return { 'not_loaded' } end
local now = spend_start(PERIOD, clock())
local period, start, drawn, rest = (h[2] or ''):match('^(%a+) (%S+) (%d+)(.*)$')
if period ~= PERIOD then
  redis.call('HSET', ACCOUNT, FIELD, PERIOD .. ' ' .. now .. ' 0 ' .. h[1])
  return { 'counting', now, h[1] }
end
if now > start then
  redis.call('HSET', ACCOUNT, FIELD, PERIOD .. ' ' .. now .. ' 0')
  return { 'known' }
end
if rest == '' then return { 'known' } end
local seq = rest:sub(2)
if START ~= start or SEQ ~= seq then return { 'counting', start, seq } end
redis.call('HSET', ACCOUNT, FIELD, PERIOD .. ' ' .. start .. ' ' .. add(drawn, BEFORE))
return { 'known' }
