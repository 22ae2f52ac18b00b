"""A cluster's client whose transactions hold what those of one server hold.

redis-py's own transactions on a cluster send EXEC again when the connection breaks, without the WATCH that
went with it: a batch would be applied twice, or by an owner that is deposed. Here a transaction is one
server's, on the node that holds its slot; where the slot has moved or the connection breaks it fails, and
the caller reads what is there.
"""

from typing import Any, Self, cast

from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, MovedError
from redis.exceptions import ClusterDownError as RedisClusterDownError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from typing_extensions import override

ELSEWHERE = (MovedError, AskError, RedisClusterDownError)
AWAY = (RedisConnectionError, RedisTimeoutError, OSError)
KEY_OF_A_SCRIPT = 3
"""EVAL, the script, the number of keys, then the first."""


def is_cluster(client: object) -> bool:
    """Return whether a client is a cluster's: its commands must stay in one slot each."""
    return isinstance(client, RedisCluster)


class Cluster(RedisCluster):
    """A cluster."""

    __slots__ = ("_pools",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as redis-py takes them
        """Take what redis-py takes."""
        super().__init__(*args, **kwargs)
        self._pools: dict[str, ConnectionPool] = {}

    @override
    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Return a pipeline over all slots, or a transaction in one."""
        if not transaction:
            return super().pipeline()
        return cast("ClusterPipeline", SlotTransaction(self))

    @override
    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()
        await super().aclose()

    def pool_of(self, key: Any) -> ConnectionPool:  # noqa: ANN401 - str or bytes
        """Return connections to the node that holds a key, as far as is known."""
        node: ClusterNode = self.nodes_manager.get_node_from_slot(self.keyslot(key))
        if node.name not in self._pools:
            options = {**node.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
            self._pools[node.name] = ConnectionPool(connection_class=node.connection_class, **options)
        return self._pools[node.name]

    async def look_again(self) -> None:
        """Learn anew which node holds what."""
        await self.nodes_manager.initialize()


class SlotTransaction(Pipeline):
    """WATCH, MULTI and EXEC on the node of the first key; the others must be in its slot."""

    connection_pool: Any  # None until the first command tells the slot

    def __init__(self, cluster: Cluster) -> None:
        """Stand ready for the first command."""
        self._cluster = cluster
        super().__init__(cast("Any", None), cluster.response_callbacks, transaction=True, shard_hint=None)

    @override
    async def __aenter__(self) -> Self:
        await self._cluster.initialize()
        return self

    @override
    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Queue a command, or carry it out before MULTI."""
        if self.connection_pool is None:
            self.connection_pool = self._cluster.pool_of(_key_of(args))
        return super().execute_command(*args, **kwargs)

    @override
    async def immediate_execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Carry out a command before MULTI; raises ConnectionError where its slot is elsewhere."""
        try:
            return await super().immediate_execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]
        except ELSEWHERE as error:
            raise await self._moved(error) from error
        except AWAY:
            await self._look()
            raise

    @override
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Carry out the transaction once; raises ConnectionError where its slot is elsewhere."""
        try:
            return await super().execute(raise_on_error)
        except ELSEWHERE as error:
            raise await self._moved(error) from error
        except AWAY:
            await self._look()
            raise

    async def _moved(self, error: Exception) -> RedisConnectionError:
        if isinstance(error, MovedError):  # says where to; what other nodes say may be older
            await self._cluster.nodes_manager.move_slot(error)
        else:
            await self._look()
        return RedisConnectionError(f"the slot is elsewhere: {error}")

    async def _look(self) -> None:
        try:
            await self._cluster.look_again()
        except (*AWAY, *ELSEWHERE):
            return  # the next command looks itself


def _key_of(args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - str or bytes
    return args[KEY_OF_A_SCRIPT if args[0] == "EVAL" else 1]
