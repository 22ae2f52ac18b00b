"""Many commands as one call. Real Redis."""

import pytest
from redis.exceptions import OutOfMemoryError as RedisOutOfMemoryError

from agent.demo.stack import Stack, start_redis
from feedback.one_call import OneCall, read
from feedback.stores import connect


async def test_sums_and_commands_run_and_a_hash_that_grew_tells_its_size(redis_url: str, tenant: str) -> None:
    redis = connect(redis_url, 5.0)
    tag = f"unseen:{{{tenant}:0}}"
    await redis.set(f"{tag}:lease", b"token")
    await redis.hset(f"{tag}:h", mapping={"a": "1.5", "b": "2"})
    call = OneCall(f"{tag}:lease", b"token", f"{tag}:last")
    place = call.add(f"{tag}:h", {"a": 0.25, "c|é": 1e-7})
    call.do("XADD", f"{tag}:s", "*", "r", b"\x00\xff bytes")
    call.do("ZADD", f"{tag}:z", 1700000000000, "m")
    same = call.add(f"{tag}:h", {"a": 0.0})
    sizes = await call.run(redis)
    assert sizes is not None
    assert (sizes[place], sizes[same]) == (3, 0)
    replies = await read(
        redis, tag, [("HGETALL", f"{tag}:h"), ("ZSCORE", f"{tag}:z", "m"), ("GET", f"{tag}:none")]
    )
    stored = dict(zip(replies[0][::2], replies[0][1::2], strict=True)) if isinstance(replies[0], list) else {}
    assert {name: float(v) for name, v in stored.items()} == {b"a": 1.75, b"b": 2.0, "c|é".encode(): 1e-7}
    assert replies[1:] == [b"1700000000000", None]
    assert (await redis.xrange(f"{tag}:s"))[0][1] == {b"r": b"\x00\xff bytes"}  # type: ignore[index]
    await redis.delete(*(f"{tag}:{name}" for name in ("lease", "last", "h", "s", "z")))
    await redis.aclose()


async def test_a_call_that_is_sent_again_changes_nothing(redis_url: str, tenant: str) -> None:
    redis = connect(redis_url, 5.0)
    tag = f"unseen:{{{tenant}:0}}"
    await redis.set(f"{tag}:lease", b"token")
    call = OneCall(f"{tag}:lease", b"token", f"{tag}:last")
    call.add(f"{tag}:h", {"a": 1.0})
    assert (await call.run(redis), await call.run(redis)) == ([1], [0])
    assert await redis.hget(f"{tag}:h", "a") == b"1"
    await redis.delete(*(f"{tag}:{name}" for name in ("lease", "last", "h")))
    await redis.aclose()


async def test_a_call_that_comes_late_behind_the_one_in_its_place_changes_nothing(
    redis_url: str, tenant: str
) -> None:
    redis = connect(redis_url, 5.0)
    tag = f"unseen:{{{tenant}:0}}"
    await redis.set(f"{tag}:lease", b"token")
    given_up, instead = (OneCall(f"{tag}:lease", b"token", f"{tag}:last") for _ in range(2))
    for call in (given_up, instead):
        call.add(f"{tag}:h", {"a": 1.0})
    assert await instead.run(redis, after=b"") == [1]
    assert await given_up.run(redis, after=b"") is None
    assert await redis.hget(f"{tag}:h", "a") == b"1"
    await redis.delete(*(f"{tag}:{name}" for name in ("lease", "last", "h")))
    await redis.aclose()


async def test_a_full_server_takes_a_call_that_only_deletes(stack: Stack) -> None:
    server = start_redis(stack.folder, spawn=stack.spawn, name="fuller")
    redis = connect(server.url, 5.0)
    await redis.set("{t}:lease", b"token", px=60_000)
    await redis.hset("{t}:h", "a", "1")
    await redis.config_set("maxmemory", 1)
    call = OneCall("{t}:lease", b"token")
    call.do("UNLINK", "{t}:h")
    assert await call.run(redis) == []
    assert await redis.exists("{t}:h") == 0
    await redis.aclose()


async def test_a_stream_is_trimmed_and_what_went_is_counted(redis_url: str, tenant: str) -> None:
    redis = connect(redis_url, 5.0)
    tag = f"unseen:{{{tenant}:0}}"
    await redis.set(f"{tag}:lease", b"token")
    call = OneCall(f"{tag}:lease", b"token", f"{tag}:last")
    for n in range(5):
        call.do("XADD", f"{tag}:s", "*", "n", n)
    call.trim(f"{tag}:s", 3, count=(f"{tag}:c", "gone"))
    await call.run(redis)
    assert (await redis.xlen(f"{tag}:s"), await redis.hget(f"{tag}:c", "gone")) == (3, b"2")
    await redis.delete(*(f"{tag}:{name}" for name in ("lease", "last", "s", "c")))
    await redis.aclose()


async def test_another_owner_writes_nothing_and_is_told_so(redis_url: str, tenant: str) -> None:
    redis = connect(redis_url, 5.0)
    tag = f"unseen:{{{tenant}:0}}"
    await redis.set(f"{tag}:lease", b"theirs", px=60_000)
    call = OneCall(f"{tag}:lease", b"ours", f"{tag}:last")
    call.do("SET", f"{tag}:x", "1")
    assert await call.run(redis) is None
    assert await redis.exists(f"{tag}:x") == 0
    assert 0 < await redis.pttl(f"{tag}:lease") <= 60_000  # the lease's time is as it was
    await redis.delete(f"{tag}:lease")
    await redis.aclose()


async def test_a_server_without_memory_refuses_it_as_a_whole(stack: Stack) -> None:
    server = start_redis(stack.folder, spawn=stack.spawn, name="full")
    redis = connect(server.url, 5.0)
    await redis.set("{t}:lease", b"token", px=60_000)
    await redis.xadd("{t}:s", {"r": "unread"})
    await redis.config_set("maxmemory", 1)
    call = OneCall("{t}:lease", b"token", "{t}:last")
    call.do("DEL", "{t}:s")  # needs no memory: alone it would go
    call.do("SET", "{t}:x", "1")
    with pytest.raises(RedisOutOfMemoryError):
        await call.run(redis)
    assert await redis.xlen("{t}:s") == 1
    await redis.aclose()
