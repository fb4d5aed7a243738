-- Keep an answer, unless its stage was flushed since it was asked for; those that came first go where there is no room.
-- Gives whether it is kept. KEYS: mark, order, sizes, the answer. ARGV: the mark it was asked for under, its name, the
-- answer, how long it lives in ms, the bytes it counts for, those of all, what keys of answers begin with, how long the
-- index lives in ms.
if (redis.call('GET', KEYS[1]) or string.rep('\0', 16)) ~= ARGV[1] then
  return 0
end
local size, most = tonumber(ARGV[5]), tonumber(ARGV[6])
if size > most then
  return 0
end
-- First, since Redis refuses what needs memory it does not have only as long as a script has written nothing.
redis.call('SET', KEYS[4], ARGV[3], 'PX', ARGV[4])
local function discount(name)
  local held = redis.call('HGET', KEYS[3], name)
  redis.call('ZREM', KEYS[2], name)
  if held then
    redis.call('HDEL', KEYS[3], name)
    redis.call('HINCRBY', KEYS[3], 'bytes', '-' .. held)
  end
end
discount(ARGV[2])
-- Some of those that are over: of each that is kept two others go.
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, 1)) do
  if redis.call('EXISTS', ARGV[7] .. name) == 0 then
    discount(name)
  end
end
while (tonumber(redis.call('HGET', KEYS[3], 'bytes')) or 0) + size > most do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not first then -- the index has lost what it counts
    redis.call('UNLINK', KEYS[3])
    break
  end
  redis.call('UNLINK', ARGV[7] .. first)
  discount(first)
end
redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[3], 'last', 1), ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
redis.call('HINCRBY', KEYS[3], 'bytes', ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
redis.call('PEXPIRE', KEYS[3], ARGV[8])
return 1
