-- Prepended to every script that counts money. Amounts are whole nanos as decimal text. A Lua number is a double, exact
-- only below 2^53, and Redis's own replies to HINCRBY arrive in Lua as doubles too; so long amounts are added in two
-- limbs of 10^9, and a number becomes text only through '%d' of a whole double below 2^53 (a quarter of the time of '%.0f'). Text in an
-- arithmetic expression is a number to Lua by itself, for less than `tonumber` costs.

local fmt = string.format

local function split(text) -- value = hi * 1e9 + lo, 0 <= lo < 1e9
  local negative = text:byte(1) == 45
  local digits = negative and text:sub(2) or text
  local hi, lo = tonumber(digits:sub(1, -10)) or 0, tonumber(digits:sub(-9))
  if not negative then return hi, lo end
  if lo == 0 then return 0 - hi, 0 end
  return 0 - hi - 1, 1e9 - lo
end

local function add(a, b)
  if #a < 16 and #b < 16 then return fmt('%d', a + b) end
  local ahi, alo = split(a)
  local bhi, blo = split(b)
  local hi, lo = ahi + bhi, alo + blo
  if lo >= 1e9 then hi, lo = hi + 1, lo - 1e9 end
  local sign = ''
  if hi < 0 then
    sign = '-'
    if lo > 0 then hi, lo = hi + 1, 1e9 - lo end
    hi = 0 - hi
  end
  if hi == 0 then return sign .. fmt('%d', lo) end
  return sign .. fmt('%d%09d', hi, lo)
end

local function neg(a)
  if a:byte(1) == 45 then return a:sub(2) end
  if a == '0' then return a end
  return '-' .. a
end

local function sub(a, b)
  if #a < 16 and #b < 16 then return fmt('%d', a - b) end
  return add(a, neg(b))
end

local function less(a, b)
  if #a < 16 and #b < 16 then return a - b < 0 end
  return add(a, neg(b)):byte(1) == 45
end

local function units(nanos) -- '1500000000' -> '1.500000000'
  local sign, digits = '', nanos
  if nanos:byte(1) == 45 then sign, digits = '-', nanos:sub(2) end
  if #digits < 10 then digits = ('0'):rep(10 - #digits) .. digits end
  return sign .. digits:sub(1, -10) .. '.' .. digits:sub(-9)
end

local function clock() -- Redis' clock: whole milliseconds as text, and ISO 8601 in UTC
  local t = redis.call('TIME')
  local sec, ms = tonumber(t[1]), math.floor(tonumber(t[2]) / 1000)
  local days = math.floor(sec / 86400)
  local rest = sec - days * 86400
  local z = days + 719468 -- days since 0000-03-01, so that leap days end a year
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local iso = fmt('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60, ms)
  return fmt('%d', sec * 1000 + ms), iso
end
