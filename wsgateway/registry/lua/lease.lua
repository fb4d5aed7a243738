-- Take tokens of buckets. A bucket's key lives until the bucket is full again, so that its time to live says how much
-- is missing, and no clock is asked. Its value: by how many milliseconds that is too much, and the rate it was set by.
-- KEYS: buckets. ARGV, for each: rate a second, burst, tokens wanted, level where there is no key, tokens spent unasked.
local answer = {}
for number, key in ipairs(KEYS) do
  local at = (number - 1) * 5
  local rate, burst, wanted = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local missing = burst - tonumber(ARGV[at + 4])
  local left = redis.call('PTTL', key)
  if left > 0 then
    local value = redis.pcall('GET', key)
    local early, filling = string.match(type(value) == 'string' and value or '', '^(%S+) (%S+)$')
    early, filling = tonumber(early or ''), tonumber(filling or '')
    if early and filling and early >= 0 and filling > 0 then
      missing = (left - early) * filling / 1000
    end
  end
  missing = math.min(math.max(missing, 0) + tonumber(ARGV[at + 5]), 2 * burst)
  local granted = math.max(0, math.min(wanted, math.floor(burst - missing)))
  missing = missing + granted
  if missing > 0 then
    local exact = math.min(missing / rate * 1000, 3e11)
    local whole = math.ceil(exact)
    redis.call('SET', key, string.format('%.6f %.17g', whole - exact, rate), 'PX', string.format('%.0f', whole))
  end
  answer[2 * number - 1] = granted
  answer[2 * number] = string.format('%.6f', burst - missing)
end
return answer
