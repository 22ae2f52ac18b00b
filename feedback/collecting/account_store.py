"""The accounts of clients: per client a hash of objects, each a set of facts, in the client's slot.

Any collector adds to any account, atomically. Guarantees that a fact that was added is in what every later
addition to the same object returns, and that revisions rise; so the account with the highest revision is the
most complete one. Facts leave only when they are too old to matter, by the time to live of the hash, or, a
whole object at once, when the client has more objects than the bound: the one with the oldest newest fact.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from feedback.collecting.accounts import Holder
from feedback.keys import Keys
from feedback.link_records import Fact
from feedback.one_call import each
from feedback.settings import FeedbackSettings

MOST_FACTS = 200
"""Of one client and object. Past it those too old to matter go; while none is, new clicks are not kept, and
past five times as many nothing is."""
ADD = """local rev_field = '#'
local account, ttl_s, now_ms, most_objects, most_facts, oldest_ms
local function at_ms(line) return tonumber(string.match(line, '^%["%a",(%d+)')) or 0 end
local function lines(text) return string.gmatch(text, '[^\\n]+') end
local function count(text) local n = 0; for _ in lines(text) do n = n + 1 end; return n end
local function newer(text)
  local kept = {}
  for line in lines(text) do if at_ms(line) >= oldest_ms then kept[#kept + 1] = line .. '\\n' end end
  return table.concat(kept)
end
local function evict()
  local ages, stored = {}, redis.call('HGETALL', account)
  for i = 1, #stored, 2 do
    if stored[i] ~= rev_field then
      local newest = 0
      for line in lines(stored[i + 1]) do newest = math.max(newest, at_ms(line)) end
      ages[#ages + 1] = {newest, stored[i]}
    end
  end
  table.sort(ages, function(a, b) if a[1] ~= b[1] then return a[1] < b[1] end return a[2] < b[2] end)
  for i = 1, #ages - math.floor(most_objects * 0.9) do redis.call('HDEL', account, ages[i][2]) end
end
local function add(added)
local rev = math.max((tonumber(redis.call('HGET', account, rev_field)) or 0) + 1, now_ms)
local found = {string.format('%.0f', rev)}
redis.call('HSET', account, rev_field, found[1])
for i = 1, #added, 2 do
  local field = 'o:' .. added[i]
  local held = redis.call('HGET', account, field) or ''
  local n = count(held)
  for line in lines(added[i + 1]) do
    if not string.find('\\n' .. held, '\\n' .. line .. '\\n', 1, true) then
      if n >= most_facts then held = newer(held); n = count(held) end
      local most = string.sub(line, 1, 4) == '["c"' and most_facts or 5 * most_facts
      if n < most then held = held .. line .. '\\n'; n = n + 1 end
    end
  end
  redis.call('HSET', account, field, held)
  local sold = string.find(held, '["o"', 1, true) or string.find(held, '["r"', 1, true)
  found[#found + 1] = sold and held or ''
end
if redis.call('HLEN', account) > most_objects + 1 then evict() end
redis.call('EXPIRE', account, ttl_s)
return found
end
local replies = {}
for i, one in ipairs(cmsgpack.unpack(ARGV[1])) do
  account = one[1]
  ttl_s, now_ms, most_objects, most_facts, oldest_ms = unpack(one[2][1])
  replies[i] = add(one[2][2])
end
return replies"""
"""Adds facts to objects of an account; returns its revision and each object's facts where any is a purchase
or a return. Past the bound of objects a tenth of them goes, so that not every addition has to look."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What is known of a client and an object after an addition."""

    holder: Holder
    partition: int
    """Of the client."""
    rev: int
    facts: list[Fact]


class AccountStore:
    """Adds facts; any number of processes may."""

    def __init__(self, redis: Redis, keys: Keys, settings: FeedbackSettings) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings

    async def add(self, facts: Iterable[tuple[str, str, Fact]], now_ms: int) -> list[Account]:
        """Add facts (client_id, object_id, fact); return the accounts that hold any purchase or return.

        One round trip. Raises what Redis raises; adding again changes nothing.
        """
        by_client: defaultdict[str, defaultdict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
        for client_id, object_id, fact in facts:
            by_client[client_id][object_id].append(msgspec.json.encode(fact) + b"\n")
        if not by_client:
            return []
        bounds = self._bounds(now_ms)
        asked = []
        for client_id, objects in by_client.items():
            added = [word for name, lines in objects.items() for word in (name, b"".join(lines))]
            asked.append((self._keys.account(client_id), (bounds, added)))
        replies = await each(self._redis, ADD, asked)
        return [
            account
            for (client_id, objects), reply in zip(by_client.items(), replies, strict=True)
            for account in self._accounts(client_id, objects, reply)
        ]

    def _bounds(self, now_ms: int) -> tuple[int, ...]:
        window_s = self._settings.attribution_window_s
        late_s = self._settings.dedupe_window_s + self._settings.join_window_s
        ttl_s, oldest_ms = int(window_s + late_s) + 1, now_ms - int((2 * window_s + late_s) * 1000)
        return ttl_s, now_ms, self._settings.objects_a_client, MOST_FACTS, oldest_ms

    def _accounts(self, client_id: str, objects: Mapping[str, Any], reply: list[bytes]) -> Iterable[Account]:
        rev, *held = reply
        client, partition = self._keys.client_name(client_id), self._keys.partition_of_client(client_id)
        for object_id, lines in zip(objects, held, strict=True):
            if lines:
                holder = Holder(self._keys.tenant, client, object_id)
                yield Account(holder=holder, partition=partition, rev=int(rev), facts=parse(lines))


def parse(lines: bytes) -> list[Fact]:
    """Return the facts of an account's lines."""
    return msgspec.json.decode(b"[" + b",".join(lines.strip().split(b"\n")) + b"]", type=list[Fact])
