-- Claim connections of a slot that has no lease. KEYS: lease, records, claims. ARGV: the claimer's slot, then for each
-- connection its id and the claim it is thought to have ('' for none). Gives id, record, id, record, …
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local taken = {}
for i = 2, #ARGV, 2 do
  local record = redis.call('HGET', KEYS[2], ARGV[i])
  if record and (redis.call('HGET', KEYS[3], ARGV[i]) or '') == ARGV[i + 1] then
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[1])
    taken[#taken + 1] = ARGV[i]
    taken[#taken + 1] = record
  end
end
if #taken > 0 then redis.call('EXPIRE', KEYS[3], 86400) end
return taken
