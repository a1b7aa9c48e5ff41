-- Moves a shard's proven mark, unless another has moved it meanwhile, and keeps what it passed unproven.
-- KEYS   1 epoch  2 proven mark  3 unaccounted entries (hash: entry id -> account id)
-- ARGV   1 fence token  2 mark that is there ('0-0' for none)  3 new mark  4 n, then n pairs entry id, account id to keep,
--        then entry ids to keep no longer
-- reply  {'fenced'} | {'other', mark} | {'moved'}

local EPOCH, PROVEN, UNACCOUNTED = KEYS[1], KEYS[2], KEYS[3]
local TOKEN, EXPECTED, NEXT, KEPT = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
local mark = redis.call('GET', PROVEN) or '0-0'
if mark ~= EXPECTED then return { 'other', mark } end
redis.call('SET', PROVEN, NEXT)
for i = 5, 4 + KEPT * 2, 2 do redis.call('HSET', UNACCOUNTED, ARGV[i], ARGV[i + 1]) end
for i = 5 + KEPT * 2, #ARGV do redis.call('HDEL', UNACCOUNTED, ARGV[i]) end
return { 'moved' }
