"""The local stack: OpenSearch and Redis, given by URL or started here, and ended with the program."""

from agent.demo.stack.errors import NotReadyError, StackError, UnavailableError
from agent.demo.stack.opensearch import default_cache_dir, start_opensearch, start_stand_in
from agent.demo.stack.process import Child, Spawn, User
from agent.demo.stack.redis_server import start_redis
from agent.demo.stack.service import Service, wait_ready
from agent.demo.stack.stack import Stack

__all__ = [
    "Child",
    "NotReadyError",
    "Service",
    "Spawn",
    "Stack",
    "StackError",
    "UnavailableError",
    "User",
    "default_cache_dir",
    "start_opensearch",
    "start_redis",
    "start_stand_in",
    "wait_ready",
]
