-- Forget some of a stage's answers; gives how many are left. KEYS: order, sizes. ARGV: how many go, what their keys begin
-- with.
local names = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
for number = 1, #names, 2 do
  local name = names[number]
  local held = redis.call('HGET', KEYS[2], name)
  redis.call('UNLINK', ARGV[2] .. name)
  if held then
    redis.call('HDEL', KEYS[2], name)
    redis.call('HINCRBY', KEYS[2], 'bytes', '-' .. held)
  end
end
local left = redis.call('ZCARD', KEYS[1])
if left == 0 then
  redis.call('UNLINK', KEYS[2])
end
return left
