-- Prepended, last, to the scripts that take many items of accounts of one shard or more (on a cluster: of one). Each shard has its own fence.
-- KEYS   per shard 2: epoch, and what the script writes into for the shard, then the items', those of the first shard first
-- ARGV   from `at`: how many shards, per shard 2: fence token, how many items, then the items'
-- reply  {item...}, each a text: 'fenced' when its shard is in another epoch, 'error <text>' when it failed, alone, or what `act` says of it.
-- `act`  is given where the item's keys and arguments begin, its number in the call, the shard's second key, and what stands in the key
--        `remembered_at` of the item's (nil: there is none): all are read at once, for a call of Redis costs more than what most of them do

local function answer_items(at, item_keys, item_args, remembered_at, act)
  local shards = tonumber(ARGV[at])
  local k, a = 2 * shards + 1, at + 2 * shards + 1
  local read, replies, i = {}, {}, 0
  for s = 1, shards do read[s] = KEYS[2 * s - 1] end
  if remembered_at then
    for key = k + remembered_at - 1, #KEYS, item_keys do read[#read + 1] = KEYS[key] end
  end
  local known = redis.call('MGET', unpack(read))
  for s = 1, shards do
    local fenced, target = known[s] ~= ARGV[at + 2 * s - 1], KEYS[2 * s]
    for _ = 1, tonumber(ARGV[at + 2 * s]) do
      i = i + 1
      if fenced then
        replies[i] = 'fenced'
      else
        local fine, reply = pcall(act, k, a, i, target, known[shards + i])
        replies[i] = fine and reply or 'error ' .. (type(reply) == 'table' and reply.err or tostring(reply))
      end
      k, a = k + item_keys, a + item_args
    end
  end
  return replies
end
