import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from feedback.stores.patience import FAILURES, REST_S, Patience, Resting


class Store:
    """Answers, fails or hangs; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.now_s = 100.0
        self.answers = asyncio.Event()
        self.answers.set()
        self.patience = Patience(0.02, monotonic_s=lambda: self.now_s)

    async def read(self) -> str:
        self.asked += 1
        if self.fails:
            raise RedisConnectionError("away")
        await self.answers.wait()
        return "found"

    async def ask(self) -> str:
        return await self.patience.ask(self.read)

    async def fail(self, times: int = FAILURES) -> None:
        self.fails = True
        for _ in range(times):
            with pytest.raises(RedisConnectionError):
                await self.ask()


async def test_a_store_that_says_nothing_costs_its_bound() -> None:
    store = Store()
    store.answers.clear()
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await store.ask()


async def test_a_store_that_failed_in_a_row_is_left_alone_for_a_moment() -> None:
    store = Store()
    await store.fail()
    with pytest.raises(Resting):
        await store.ask()
    assert store.asked == FAILURES
    store.now_s += REST_S + 0.01
    store.fails = False
    assert await store.ask() == "found"
    assert await store.ask() == "found"  # and all of them ask again


async def test_a_failure_now_and_then_keeps_nobody_from_asking() -> None:
    store = Store()
    for _ in range(FAILURES):
        await store.fail(FAILURES - 1)
        store.fails = False
        assert await store.ask() == "found"


async def test_after_the_rest_one_finds_out_and_the_others_go_without() -> None:
    store = Store()
    await store.fail()
    store.fails = False
    store.answers.clear()
    store.now_s += REST_S + 0.01
    first = asyncio.create_task(store.ask())
    await asyncio.sleep(0)
    with pytest.raises(Resting):
        await store.ask()
    assert store.asked == FAILURES + 1
    with pytest.raises(TimeoutError):
        await first
    with pytest.raises(Resting):  # it rests anew
        await store.ask()
