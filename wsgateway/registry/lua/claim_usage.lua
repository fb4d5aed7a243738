-- Count what is used of a quota, and grant what is left of it; gives what is granted, what is used in the period then, and
-- the mark. KEYS: days. ARGV: day, first day of the period, limit ('': none), offset, wanted, seen, spent, days that are
-- kept, the mark that the node knows, a new one.
local day, first = tonumber(ARGV[1]), tonumber(ARGV[2])
local period = {}
for each = first, day do
  period[#period + 1] = string.format('%d', each)
end
local known = 0
for _, used in ipairs(redis.call('HMGET', KEYS[1], unpack(period))) do
  known = known + (tonumber(used) or 0)
end
local begun = tonumber(redis.call('HGET', KEYS[1], 'first')) or day
local mark = redis.call('HGET', KEYS[1], 'mark')
local used = known
if mark ~= ARGV[9] then
  used = math.max(known, tonumber(ARGV[6]))
end
local today = tonumber(redis.call('HGET', KEYS[1], ARGV[1])) or 0
used = math.max(used + tonumber(ARGV[7]), known - today)
local granted = tonumber(ARGV[5])
if ARGV[3] ~= '' then
  local left = tonumber(ARGV[3]) - used
  if begun >= first then
    left = left - tonumber(ARGV[4])
  end
  granted = math.max(0, math.min(granted, left))
end
used = used + granted
if used ~= known then
  local more = string.format('%.0f', used - known)
  if redis.call('HINCRBY', KEYS[1], ARGV[1], more) == used - known then
    -- The first of this day: those of long ago go, and all of it some time after the last.
    redis.call('HSETNX', KEYS[1], 'first', ARGV[1])
    redis.call('HSETNX', KEYS[1], 'mark', ARGV[10])
    mark = redis.call('HGET', KEYS[1], 'mark')
    for _, each in ipairs(redis.call('HKEYS', KEYS[1])) do
      local number = tonumber(each)
      if number and number <= day - tonumber(ARGV[8]) then
        redis.call('HDEL', KEYS[1], each)
      end
    end
    redis.call('EXPIRE', KEYS[1], tonumber(ARGV[8]) * 86400)
  end
end
return {granted, used, mark or ''}
