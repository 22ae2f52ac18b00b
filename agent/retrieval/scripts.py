"""What Redis does for the shared budget, each in one step and by its own clock.

``live`` holds the shoppers' searches of the last minute by slots of five seconds; whole slots count, so that
a gateway that starts or stops moves the rate slowly. ``guests`` holds the bucket (``tokens``, ``at``), the
``pace``, the fair queue (``turn:<purpose>``, ``asked:<purpose>``, ``turn``: the last one granted) and totals
(``searches:<purpose>``, ``waited:<purpose>``). ``under_way`` holds requests by when their place lapses.
"""

SLOT_S = 5
SLOTS = 12
LIVE_TTL_S = 2 * SLOT_S * SLOTS
LEAST_PACE = 0.05
"""Of the rate, that is left however often the engine refuses."""
PACE_STEP = 0.1
CUT_S = 1.0
"""Requests that were under way together tell of one overload once."""
BITE_S = 0.2
"""Of the rate, that one request may hold: many searches at once would stand in shoppers' way."""
FULL_S = 1.0
"""Of the rate, that is saved up at most."""
WAITS_S = 2.5
"""After its last question a purpose counts as waiting no longer: its process may be dead."""
BUSY_S = 0.02
"""Between two questions while as many requests as may are under way."""

_CLOCK = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
"""
_LIVE = f"""
local slot = math.floor(now / {SLOT_S})
local function live_rate()
  local seen, all = 0, redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local age = slot - tonumber(all[i])
    if age >= 1 and age <= {SLOTS} then seen = seen + tonumber(all[i + 1]) end
    if age > {SLOTS} or age < 0 then redis.call('HDEL', KEYS[1], all[i]) end
  end
  return seen / {SLOT_S * SLOTS}
end
"""
_GUESTS = """
local function guests(key)
  local held, all = {}, redis.call('HGETALL', key)
  for i = 1, #all, 2 do held[all[i]] = tonumber(all[i + 1]) end
  return held
end
"""

TAKE = f"""{_CLOCK}{_LIVE}{_GUESTS}
local name, purpose, weight, want = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local waited, share, least = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local most, place_s = tonumber(ARGV[8]), tonumber(ARGV[9])
local held, live = guests(KEYS[2]), live_rate()
local pace = held['pace'] or 1
local rate = math.max(least, share * live) * pace
local full = math.max(1, rate * {FULL_S})
local passed = math.max(0, now - (held['at'] or now))
local tokens = math.min(full, (held['tokens'] or 1) + passed * rate)
local bite = math.min(want, math.max(1, math.floor(rate * {BITE_S})))
local turn = math.max(held['turn:' .. purpose] or 0, held['turn'] or 0)
local wait = 0
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + 2 * place_s, '+inf')  -- of a clock that went back
if tokens < bite then
  wait = (bite - tokens) / rate
elseif redis.call('ZCARD', KEYS[3]) >= most then
  wait = {BUSY_S}
else
  for field, at in pairs(held) do
    local other = string.match(field, '^asked:(.*)$')
    if other and other ~= purpose and math.abs(now - at) < {WAITS_S} then
      local theirs = math.max(held['turn:' .. other] or 0, held['turn'] or 0)
      if theirs < turn then wait = {BUSY_S} end
    end
  end
end
local function say(n)
  return {{tostring(n), tostring(wait), tostring(rate), tostring(pace), tostring(live)}}
end
redis.call('HSET', KEYS[2], 'tokens', tostring(tokens), 'at', string.format('%.6f', now))
if wait > 0 then
  redis.call('HSET', KEYS[2], 'asked:' .. purpose, string.format('%.6f', now))
  return say(0)
end
redis.call('HSET', KEYS[2], 'tokens', tostring(tokens - bite), 'turn', string.format('%.6f', turn),
  'turn:' .. purpose, string.format('%.6f', turn + bite / weight))
redis.call('HDEL', KEYS[2], 'asked:' .. purpose)
redis.call('HINCRBY', KEYS[2], 'searches:' .. purpose, bite)
redis.call('HINCRBYFLOAT', KEYS[2], 'waited:' .. purpose, waited)
redis.call('ZADD', KEYS[3], string.format('%.6f', now + place_s), name)
return say(bite)
"""
"""KEYS: live, guests, under_way. ARGV: the request's name, purpose, weight, searches wanted, seconds waited,
share, least rate, most under way, seconds until its place lapses. Returns searches granted, seconds to wait,
rate, pace, live rate."""

GIVE = f"""{_CLOCK}{_GUESTS}
redis.call('ZREM', KEYS[2], ARGV[1])
local held = guests(KEYS[1])
local pace = held['pace'] or 1
if ARGV[2] == 'good' and pace < 1 then
  redis.call('HSET', KEYS[1], 'pace', tostring(math.min(1, pace + {PACE_STEP})))
elseif ARGV[2] == 'bad' and math.abs(now - (held['cut'] or 0)) >= {CUT_S} then
  redis.call('HSET', KEYS[1], 'pace', tostring(math.max({LEAST_PACE}, pace / 2)),
    'cut', string.format('%.6f', now))
end
return 1
"""
"""KEYS: guests, under_way. ARGV: the request's name, its outcome."""

TELL = f"""{_CLOCK}{_LIVE}
if tonumber(ARGV[1]) > 0 then
  redis.call('HINCRBY', KEYS[1], tostring(slot), ARGV[1])
  redis.call('EXPIRE', KEYS[1], {LIVE_TTL_S})
end
return {{tostring(live_rate()), redis.call('HGETALL', KEYS[2])}}
"""
"""KEYS: live, guests. ARGV: shoppers' searches since the last call. Returns the live rate and guests."""
