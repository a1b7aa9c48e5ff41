-- Removes a consumer that holds nothing and shows no life. Asking and removing are one step: removing a consumer drops what is
-- pending under it.
-- KEYS   1 stream
-- ARGV   1 group  2 consumer  3 the least idle time in ms (0: whether it lives or not)
-- reply  {'removed'} | {'holding'} | {'live'} | {'none'}

local STREAM, GROUP, CONSUMER, IDLE_MS = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', STREAM, GROUP)) do
  local is = {}
  for i = 1, #row, 2 do is[row[i]] = row[i + 1] end
  if is.name == CONSUMER then
    if is.pending > 0 then return { 'holding' } end
    if is.idle < tonumber(IDLE_MS) then return { 'live' } end
    redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, CONSUMER)
    return { 'removed' }
  end
end
return { 'none' }
