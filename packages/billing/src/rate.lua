-- Admits a request of a key unless as many as its limit were admitted in the window before it. One element a request that was admitted,
-- the newest first; one that was refused leaves none.
-- after  exact.lua
-- KEYS   1 the key's admitted requests
-- ARGV   1 limit  2 window_ms
-- reply  {'admitted'} | {'limited', ms until the next one is admitted}

local ADMITTED, LIMIT, WINDOW_MS = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local ms = clock()
local oldest = redis.call('LINDEX', ADMITTED, LIMIT - 1)
local wait = oldest and tonumber(oldest) + WINDOW_MS - tonumber(ms) or 0
if wait > 0 then return { 'limited', fmt('%.0f', wait) } end
redis.call('LPUSH', ADMITTED, ms)
redis.call('LTRIM', ADMITTED, 0, LIMIT - 1)
redis.call('PEXPIRE', ADMITTED, WINDOW_MS)
return { 'admitted' }
