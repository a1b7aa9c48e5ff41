-- Reads a shard's fence token with the replication id of the server it stands on, or moves it on.
-- KEYS   1 epoch
-- ARGV   none: read | 1 token expected to be there ('' for none)  2 next token ('' removes it)
-- reply  {token or '', master_replid, master_replid2, set: '1' when the token was moved}

local EPOCH, EXPECTED, NEXT = KEYS[1], ARGV[1], ARGV[2]
local info = redis.call('INFO', 'replication')
local replid, replid2 = info:match('master_replid:(%w+)') or '', info:match('master_replid2:(%w+)') or ''
local token = redis.call('GET', EPOCH) or ''
local set = '0'
if EXPECTED and token == EXPECTED then
  if NEXT == '' then redis.call('DEL', EPOCH) else redis.call('SET', EPOCH, NEXT) end
  token, set = NEXT, '1'
end
return { token, replid, replid2, set }
