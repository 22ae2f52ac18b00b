"""Many commands on one slot as one call: a script that runs them all, or none where its lease is lost.

Guarantees that nobody sees a part of it, and that an owner whose lease has passed to another writes nothing.
A server without memory for it refuses it as a whole. The commands go as one MessagePack string, because a
client pays for each argument of a command and a script does not.
"""

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgpack
from redis.asyncio import Redis

Word = str | bytes | int
RUN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
if KEYS[2] then
  local last = redis.call('GET', KEYS[2]) or ''
  if last == ARGV[2] then return {} end
  if last ~= ARGV[4] then return false end
  redis.call('SET', KEYS[2], ARGV[2])
end
local sums, commands, trims = unpack(cmsgpack.unpack(ARGV[3]))
local sizes = {}
for i, one in ipairs(sums) do
  local key, fields = one[1], one[2]
  local had = redis.call('HLEN', key)
  for j = 1, #fields, 2 do
    local sum, by = redis.call('HINCRBYFLOAT', key, fields[j], fields[j + 1]), fields[j + 1]
    if string.byte(by) == 45 and tonumber(sum) <= math.max(-1e-9 * tonumber(by), 1e-15) then
      redis.call('HDEL', key, fields[j])
    end
  end
  local has = redis.call('HLEN', key)
  sizes[i] = has > had and has or 0
end
for _, words in ipairs(commands) do redis.call(unpack(words)) end
for _, one in ipairs(trims) do
  local gone = redis.call('XTRIM', one[1], 'MAXLEN', one[2])
  if gone > 0 then redis.call('HINCRBY', one[3], one[4], gone) end
end
return sizes
"""
"""The first write is one that a full server refuses: after it, none of the others is. KEYS: lease, last."""
READ = """
local replies = {}
for i, words in ipairs(cmsgpack.unpack(ARGV[1])) do replies[i] = redis.call(unpack(words)) end
return replies
"""
MOST_WORDS = 4000
"""Of one command: Lua passes no more than some 8,000."""


def pack(words: Any) -> bytes:  # noqa: ANN401 - lists, texts, numbers
    """Return words for a script: bytes go as texts do, for Redis knows no other."""
    return cast("bytes", msgpack.packb(words, use_bin_type=False))


class OneCall:
    """Gathers commands, then runs them; every key lies in the slot of the lease."""

    def __init__(self, lease_key: str, token: bytes, last_key: str = "") -> None:
        self.name = secrets.token_hex(8).encode()
        """Kept under ``last_key``: sent again, because its answer was lost, the call changes nothing."""
        self.frees = not last_key
        """Whether all its commands delete and may be repeated: so a full store takes them."""
        self._keys = (lease_key, last_key) if last_key else (lease_key,)
        self._token = token
        self._sums: list[tuple[str, list[str]]] = []
        self._commands: list[Sequence[Word]] = []
        self._trims: list[tuple[str, int, str, str]] = []

    def do(self, *words: Word) -> None:
        """Add a command; one that takes many of a kind is to be split by the caller (`MOST_WORDS`)."""
        self._commands.append(words)

    def trim(self, stream: str, most: int, *, count: tuple[str, str]) -> None:
        """Keep the newest entries of a stream, after all else; count the others in a field of a hash."""
        self._trims.append((stream, most, *count))

    def add(self, key: str, by: Mapping[str, float]) -> int:
        """Add to the fields of a hash; what is taken back leaves no field.

        A sum of which rounding alone is left (Redis keeps 17 decimals), or of which the rest was pruned
        before, goes. Return the place in `run`'s answer of how many there are now.
        """
        words = [word for name, one in by.items() if one for word in (name, repr(float(one)))]
        self._sums.append((key, words))
        return len(self._sums) - 1

    async def run(self, redis: Redis, *, after: bytes = b"") -> list[int] | None:
        """Run everything; return None where the lease is not ours, or another call has run since ``after``.

        So a call that was given up and arrives late, behind the one that took its place, changes nothing.
        Else, of each `add`, how many fields its hash has now, 0 where none of them is new.

        Raises:
            redis errors: nothing is known.
        """
        packed = pack((self._sums, self._commands, self._trims))
        words = (*self._keys, self._token, self.name, packed, after)
        reply: Any = await redis.eval(RUN, len(self._keys), *words)
        return reply if reply is None else cast("list[int]", reply) or [0] * len(self._sums)


async def read(redis: Redis, key: str, commands: Sequence[Sequence[Word]]) -> list[Any]:
    """Return the replies of commands that read, as of one moment; all keys lie in the slot of ``key``."""
    if not commands:
        return []
    reply: Any = await redis.eval(READ, 1, key, pack(commands))
    return cast("list[Any]", reply)


async def each(redis: Redis, script: str, of: Sequence[tuple[str, Any]]) -> list[Any]:
    """Run a script for many keys, once a slot; return its reply for each key, in their order.

    The script is given ``{{key, argument}, ...}`` packed as its first argument, and returns as many replies.
    """
    slots: defaultdict[str, list[int]] = defaultdict(list)
    for i, (key, _) in enumerate(of):
        slots[key.partition("}")[0]].append(i)
    async with redis.pipeline(transaction=False) as pipe:
        for places in slots.values():
            pipe.eval(script, 1, of[places[0]][0], pack([of[i] for i in places]))
        replies = await pipe.execute() if slots else []
    found: list[Any] = [None] * len(of)
    for places, reply in zip(slots.values(), replies, strict=True):
        for i, one in zip(places, reply, strict=True):
            found[i] = one
    return found
