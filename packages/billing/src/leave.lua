-- Removes a consumer that holds nothing. Asking and removing are one step: removing a consumer drops what is pending under it.
-- KEYS   1 stream
-- ARGV   1 group  2 consumer
-- reply  {'removed'} | {'holding'}

local STREAM, GROUP, CONSUMER = KEYS[1], ARGV[1], ARGV[2]
if #redis.call('XPENDING', STREAM, GROUP, '-', '+', 1, CONSUMER) > 0 then return { 'holding' } end
redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, CONSUMER)
return { 'removed' }
