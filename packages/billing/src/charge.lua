-- Draws charges from accounts: check, deduct, append the entry and remember the request id, each item whole or not at all. An item that
-- cannot be read or written is answered alone and harms no other.
-- after  exact.lua, draw.lua, items.lua
-- KEYS   as items.lua: per shard epoch, stream; per item 3: account, remembered request, the account's holds
-- ARGV   1 remember_ms  2 random: 18 hex digits, then as items.lua, per item 17: account_id owner_id account_type virtual_key cost(nanos) currency
--        provider model input_tokens output_tokens total_tokens request_id usage_source metadata digest delivered spend_limit
--        delivered: '1' when the service was given already, so the cost is recorded whatever the balance; spend_limit: 'period nanos' or ''
-- reply  as items.lua; an item: 'charged <id cost before after seq>' (nanos) | 'repeated <the same>' |
--        'conflict' | 'refused <why balance held limit[ drawn reserved]>' | 'not_loaded' | 'spend_unknown' | 'error <text>'

local REMEMBER_MS, RANDOM = ARGV[1], ARGV[2]
local ms, iso = clock()
local forget_at = add(ms, REMEMBER_MS)
local ID = 'ded_' .. ms .. '_' .. RANDOM
local drawn_now = {} -- what this call remembers, by key: an id may stand in it twice

local function charge(k, a, i, stream, remembered)
  local account, request, holds = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local key, cost, digest = ARGV[a + 3], ARGV[a + 4], ARGV[a + 14]
  local delivered = ARGV[a + 15] == '1'

  local before = remembered or drawn_now[request]
  if before then
    local answer = before:sub(#digest + 2)
    if before:sub(1, #digest + 1) == digest .. ' ' and answer:sub(1, 5) ~= 'hold ' then return 'repeated ' .. answer end
    return 'conflict'
  end

  local h = call('HMGET', account, 'b', 'h', 'd', 'q', 'l', 's', 'c', 's:' .. key)
  local balance, held, limit, spend = h[1], h[2], h[5], h[8]
  if not balance then return 'not_loaded' end
  if h[7] ~= ARGV[a + 5] then return refused('currency_mismatch', balance, held, limit) end
  if not delivered then
    if h[6] ~= 'active' then return refused('account_frozen', balance, held, limit) end
    local available = limit == '0' and balance or add(balance, limit)
    if held ~= '0' then
      held = release_if_short(account, holds, held, sub(available, cost), ms)
      available = sub(available, held)
    end
    if less(available, cost) then return refused('insufficient_balance', balance, held, limit) end
    local refusal = spend_refusal(ARGV[a + 16], spend, holds, key, cost, ms, iso, balance, held, limit)
    if refusal then return refusal end
  end

  local deduction_id = ID .. fmt('%02x', i)
  local after, seq = draw(stream, account, balance, h[3], h[4], spend, deduction_id, ms, iso, a)
  local answer = deduction_id .. ' ' .. cost .. ' ' .. balance .. ' ' .. after .. ' ' .. seq
  drawn_now[request] = digest .. ' ' .. answer
  call('SET', request, drawn_now[request], 'PXAT', forget_at)
  return 'charged ' .. answer
end

return answer_items(3, 3, 17, 2, charge)
