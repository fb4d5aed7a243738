-- What a slot holds about itself and one connection. KEYS: lease, retired, orphans, claims. ARGV: connection id.
-- Removing a field that nobody has changes nothing, but a replica refuses it.
redis.call('HDEL', KEYS[3], '')
return {
  ARGV[1],
  redis.call('EXISTS', KEYS[1]),
  redis.call('EXISTS', KEYS[2]),
  redis.call('HEXISTS', KEYS[3], ARGV[1]),
  redis.call('HEXISTS', KEYS[4], ARGV[1]),
}
