-- Lease a slot that has nothing at all. KEYS: lease, retired, orphans, claims. ARGV: token, milliseconds.
-- Removing a field that nobody has changes nothing, but a replica refuses it.
redis.call('HDEL', KEYS[3], '')
if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4]) > 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
