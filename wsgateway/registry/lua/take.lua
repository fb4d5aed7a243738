-- Claim connections of a slot without a lease; gives id and record of each that is the claimer's now.
-- KEYS: lease, orphans, claims. ARGV: claimer, seconds that claims are kept, then id and expected claim ('': none) of each.
-- Removing a field that nobody has changes nothing, but a replica refuses it.
redis.call('HDEL', KEYS[2], '')
local taken = {}
if redis.call('EXISTS', KEYS[1]) == 1 then
  return taken
end
for i = 3, #ARGV, 2 do
  local record = redis.call('HGET', KEYS[2], ARGV[i])
  local claim = redis.call('HGET', KEYS[3], ARGV[i]) or ''
  if record and (claim == ARGV[i + 1] or claim == ARGV[1]) then
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[1])
    taken[#taken + 1] = ARGV[i]
    taken[#taken + 1] = record
  end
end
if #taken > 0 then
  redis.call('EXPIRE', KEYS[3], ARGV[2])
end
return taken
