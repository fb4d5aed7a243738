-- Undo a claim. KEYS: claims. ARGV: connection id, the claimer's slot.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1
