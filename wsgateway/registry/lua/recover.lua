-- Lease a slot whatever became of it; gives the connections that others have claimed.
-- KEYS: lease, retired, claims. ARGV: new token, milliseconds, a token whose lease is left as it is ('': none is).
if ARGV[3] ~= '' and redis.call('GET', KEYS[1]) == ARGV[3] then
  return false
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return redis.call('HKEYS', KEYS[3])
