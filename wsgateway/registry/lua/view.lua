-- The directory. KEYS: epoch, secret, nodes. ARGV: an epoch and a secret for where there is none.
-- SET is called either way: a replica refuses it, and what a replica holds is not to be trusted.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
redis.call('SET', KEYS[2], ARGV[2], 'NX')
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3])}
