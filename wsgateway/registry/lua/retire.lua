-- Note that a node has ended, if it left no record and has no lease, or this is the end of its lease.
-- KEYS: lease, retired, orphans. ARGV: seconds, '1' to end the lease.
-- Removing a field that nobody has changes nothing, but a replica refuses it.
redis.call('HDEL', KEYS[3], '')
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[1])
end
if redis.call('EXISTS', KEYS[1], KEYS[3]) > 0 then
  return 0
end
redis.call('SET', KEYS[2], '1', 'EX', ARGV[1])
return 1
