-- Connections with a record, at random, each with its claim ('': none). KEYS: orphans, claims. ARGV: how many.
-- Removing a field that nobody has changes nothing, but a replica refuses it.
redis.call('HDEL', KEYS[1], '')
local page = {}
for _, id in ipairs(redis.call('HRANDFIELD', KEYS[1], ARGV[1])) do
  page[#page + 1] = id
  page[#page + 1] = redis.call('HGET', KEYS[2], id) or ''
end
return page
