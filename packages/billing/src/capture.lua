-- Draws the actual cost of what an amount was set aside for, and gives the rest back. Below, equal to or above the hold, and after it
-- has expired: the service was given. What is over is remembered in the hold's record, or, with `fold`, in its request id alone.
-- after  exact.lua, draw.lua
-- KEYS   1 stream  2 epoch  3 account  4 the account's holds  5 the hold's record  6 remembered request ('' without fold: the record again)
-- ARGV   1 fence token  2 remember_ms  3 keep_ms  4 hold id  5 fold ('1' or '0')  6 digest of the request, for fold  7... as draw.lua
-- reply  {'fenced'} | {'not_loaded'} | {'charged', id, before, after, seq} | {'repeated', remembered} | {'conflict'} | {'closed'} |
--        {'unknown'} | {'currency'}

local STREAM, EPOCH, ACCOUNT, HOLDS, RECORD, REQUEST = unpack(KEYS)
local TOKEN, REMEMBER_MS, KEEP_MS, ID, FOLD, DIGEST = unpack(ARGV, 1, 6)
local FIRST = 7
local COST = ARGV[FIRST + 4]

local function again(remembered) -- 'id cost before after seq'
  if remembered:match('^%S+ (%S+)') == COST then return { 'repeated', remembered } end
  return { 'conflict' }
end

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local record = redis.call('HMGET', RECORD, 'account', 'state', 'result')
if not record[1] and FOLD == '1' then
  local known = redis.call('GET', REQUEST)
  local answer = known and known:sub(#DIGEST + 2) or ''
  if answer:sub(1, #ID + 1) == ID .. ' ' then return again(answer) end
end
if record[1] ~= ARGV[FIRST] then return { 'unknown' } end
if record[2] == 'captured' then return again(record[3]) end
if record[2] == 'voided' then return { 'closed' } end
local h = redis.call('HMGET', ACCOUNT, 'b', 'h', 'd', 'q', 'c', 's:' .. ARGV[FIRST + 3])
if not h[1] then return { 'not_loaded' } end
if h[5] ~= ARGV[FIRST + 5] then return { 'currency' } end

local ms, iso = clock()
local before = h[1]
local after, seq = draw(STREAM, ACCOUNT, before, h[3], h[4], h[6], ID, ms, iso, FIRST)
local open = redis.call('HGET', HOLDS, ID)
if open then
  redis.call('HSET', ACCOUNT, 'h', sub(h[2], open:match('^%d+')))
  redis.call('HDEL', HOLDS, ID)
end
local result = ID .. ' ' .. COST .. ' ' .. before .. ' ' .. after .. ' ' .. seq
if FOLD == '1' then
  redis.call('SET', REQUEST, DIGEST .. ' ' .. result, 'PX', REMEMBER_MS)
  redis.call('DEL', RECORD)
else
  redis.call('HSET', RECORD, 'state', 'captured', 'result', result)
  redis.call('PEXPIRE', RECORD, KEEP_MS)
end
return { 'charged', ID, before, after, seq }
