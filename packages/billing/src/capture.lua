-- Draws the actual costs of what amounts of accounts were set aside for, and gives the rest back: each item whole or not at
-- all. Below, equal to or above the hold, and after it has expired: the service was given. What is over is remembered in the hold's
-- record, or, with `fold`, in its request id alone.
-- after  exact.lua, draw.lua, items.lua
-- KEYS   as items.lua: per shard epoch, stream; per item 4: account  the account's holds  the hold's record  remembered request (without fold:
--        the record again)
-- ARGV   1 remember_ms  2 keep_ms, then as items.lua, per item 17: hold id  fold ('1' or '0')  digest of the request, for fold  and 14 as
--        draw.lua
-- reply  as items.lua; an item: 'not_loaded' | 'charged <id cost before after seq>' | 'repeated <the same>' |
--        'conflict' | 'closed' | 'unknown' | 'currency'

local REMEMBER_MS, KEEP_MS = ARGV[1], ARGV[2]
local ms, iso = clock()

local function again(remembered, cost) -- 'id cost before after seq'
  if remembered:match('^%S+ (%S+)') == cost then return 'repeated ' .. remembered end
  return 'conflict'
end

local function capture(k, a, _, stream)
  local account, holds, record_key, request = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  local id, fold, digest = ARGV[a], ARGV[a + 1] == '1', ARGV[a + 2]
  local first = a + 3
  local cost = ARGV[first + 4]

  local record = redis.call('HMGET', record_key, 'account', 'state', 'result')
  if not record[1] and fold then
    local known = redis.call('GET', request)
    local answer = known and known:sub(#digest + 2) or ''
    if answer:sub(1, #id + 1) == id .. ' ' then return again(answer, cost) end
  end
  if record[1] ~= ARGV[first] then return 'unknown' end
  if record[2] == 'captured' then return again(record[3], cost) end
  if record[2] == 'voided' then return 'closed' end
  local h = redis.call('HMGET', account, 'b', 'h', 'd', 'q', 'c', 's:' .. ARGV[first + 3])
  if not h[1] then return 'not_loaded' end
  if h[5] ~= ARGV[first + 5] then return 'currency' end

  local open = redis.call('HGET', holds, id)
  local before = h[1]
  local after, seq = draw(stream, account, before, h[3], h[4], h[6], id, ms, iso, first)
  if open then
    redis.call('HSET', account, 'h', sub(h[2], open:match('^%d+')))
    redis.call('HDEL', holds, id)
  end
  local result = id .. ' ' .. cost .. ' ' .. before .. ' ' .. after .. ' ' .. seq
  if fold then
    redis.call('SET', request, digest .. ' ' .. result, 'PX', REMEMBER_MS)
    redis.call('DEL', record_key)
  else
    redis.call('HSET', record_key, 'state', 'captured', 'result', result)
    redis.call('PEXPIRE', record_key, KEEP_MS)
  end
  return 'charged ' .. result
end

return answer_items(3, 4, 17, nil, capture)
