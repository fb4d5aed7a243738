-- Whether a slot has neither lease nor records; its claims are kept for another day. KEYS: lease, records, claims.
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('EXPIRE', KEYS[3], 86400)
return 1
