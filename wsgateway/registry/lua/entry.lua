-- What the directory says of one node. KEYS: epoch, nodes. ARGV: its slot.
-- Removing a field that nobody has changes nothing, but a replica refuses it.
redis.call('HDEL', KEYS[2], '')
return {redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], ARGV[1])}
