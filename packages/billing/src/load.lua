-- Sets an account that is absent, from what Postgres and the stream say together (load.ts), and appends the links that
-- explain its balance. Acts only if nothing moved since the caller looked.
-- after  exact.lua, draw.lua
-- KEYS   1 stream  2 epoch  3 account  4 proven mark  5 the account's holds
-- ARGV   1 fence token  2 last stream id the caller saw ('0-0' for none)  3 account_id  4 owner_id  5 account_type  6 currency
--        7 last seq seen  8 last balance_after(nanos)  9 debits(nanos)  10 credits_version  11 total_credits(nanos)
--        12 limit(nanos)  13 status  14 credit link amount(nanos) or ''  15 repair link amount(nanos) or ''
-- reply  {'fenced'} | {'present'} | {'moved'} | {'loaded', balance, seq}

local STREAM, EPOCH, ACCOUNT, PROVEN, HOLDS = unpack(KEYS)
local TOKEN, LAST_ID, ACCOUNT_ID, OWNER_ID, ACCOUNT_TYPE, CURRENCY = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local SEQ, LAST_AFTER, DEBITS, VERSION, TOTAL, LIMIT, STATUS = unpack(ARGV, 7, 13)

local function later(a, b) -- stream ids; their parts stay below 2^53
  local ams, aseq = a:match('^(%d+)-(%d+)$')
  local bms, bseq = b:match('^(%d+)-(%d+)$')
  ams, bms, aseq, bseq = tonumber(ams), tonumber(bms), tonumber(aseq), tonumber(bseq)
  return ams > bms or (ams == bms and aseq > bseq)
end

if redis.call('GET', EPOCH) ~= TOKEN then return { 'fenced' } end
if redis.call('EXISTS', ACCOUNT) == 1 then return { 'present' } end
local mark = redis.call('GET', PROVEN)
if mark and later(mark, LAST_ID) then return { 'moved' } end
local from = '(' .. LAST_ID
while true do
  local page = redis.call('XRANGE', STREAM, from, '+', 'COUNT', 500)
  for _, entry in ipairs(page) do
    local fields = entry[2]
    for i = 1, #fields, 2 do
      if fields[i] == 'account_id' and fields[i + 1] == ACCOUNT_ID then return { 'moved' } end
    end
  end
  if #page < 500 then break end
  from = '(' .. page[#page][1]
end

local ms, iso = clock()
local balance, seq = LAST_AFTER, SEQ
local function link(kind, amount)
  if amount == '' then return end
  local after = add(balance, amount)
  seq = add(seq, '1')
  redis.call('XADD', STREAM, '*', 'kind', kind, 'account_id', ACCOUNT_ID, 'account_owner_id', OWNER_ID, 'account_type', ACCOUNT_TYPE,
    'amount', units(amount), 'credits_version', VERSION, 'total_credits', units(TOTAL), 'balance_before', units(balance),
    'balance_after', units(after), 'account_seq', seq, 'timestamp', iso)
  balance = after
end
link('credit', ARGV[14])
link('repair', ARGV[15])
take_expired(HOLDS, ms)
local held = '0'
for _, hold in ipairs(redis.call('HVALS', HOLDS)) do held = add(held, hold:match('^%d+')) end
redis.call('HSET', ACCOUNT, 'b', balance, 'h', held, 'd', DEBITS, 'q', seq, 'v', VERSION, 'l', LIMIT, 's', STATUS, 'c', CURRENCY)
return { 'loaded', balance, seq }
