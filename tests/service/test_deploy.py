"""What `deploy/README.md` tells an operator to type, typed: backup, restore, upgrade, rollback."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from deployed import DEPLOY, block
from redis.asyncio import Redis

from agent.demo.stack import Child, Stack
from agent.ports import free_port
from agent.weights.disk import write_whole
from agent.weights.registry import Move, Registry
from feedback.access import make_secret, read_secret
from feedback.keys import Keys
from feedback.stores import connect
from feedback.version_records import Manifest, Standing
from tests.conftest import WaitUntil, missing

KEYS = Keys(tenant="shop", partitions=2)
JUMP = 1000


@pytest.fixture(scope="module")
def redis_cli() -> str:
    found = shutil.which("redis-cli")
    return found or missing("redis-cli is not installed: tests/install-packages does it, as root")


class Shop:
    """A Redis as `redis.conf` has it, and a data folder; both can be lost."""

    def __init__(self, folder: Path, stack: Stack, server: Path, wait_until: WaitUntil) -> None:
        self.redis, self.data, self.backup = folder / "redis", folder / "data", folder / "backup"
        for one in (self.redis, self.data / "weights", self.backup):
            one.mkdir(parents=True)
        self._stack, self._server, self._wait, self._folder = stack, server, wait_until, folder
        secrets = folder / "secrets"
        subprocess.run([DEPLOY / "compose/make-secrets", secrets, "127.0.0.1"], check=True)
        self.password = (secrets / "redis.password").read_text().strip()
        self.port = free_port()
        self.url = f"redis://default:{self.password}@127.0.0.1:{self.port}/0"
        text = (DEPLOY / "compose/redis.conf").read_text()
        for old, new in (
            ("bind * -::*", "bind 127.0.0.1"),
            ("port 6379", f"port {self.port}"),
            ("/run/secrets/redis.acl", str(secrets / "redis.acl")),
            ("dir /data", f"dir {self.redis}"),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "redis.conf").write_text(text)
        self._child: Child | None = None

    def healthy(self) -> bool:
        """Ask as Compose does."""
        test = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]["redis"][
            "healthcheck"
        ]["test"]
        command = test[1].replace("redis-cli", f"redis-cli -p {self.port}")
        return subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 0

    def start(self) -> None:
        argv = [str(self._server), str(self._folder / "redis.conf")]
        self._child = self._stack.spawn(argv, name=f"deployed-{self.port}")
        self._wait(self.healthy, 15)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def run(self, title: str) -> str:
        """Run a block of the document; raises CalledProcessError where a command of it fails."""
        said = {
            "STATE": self.url,
            "DATA": str(self.data),
            "BACKUP": str(self.backup),
            "REDIS": str(self.redis),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block(title)],
            env=os.environ | said | {"TENANT": KEYS.tenant},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def lose(self) -> None:
        for folder in (self.redis, self.data):
            shutil.rmtree(folder)
            folder.mkdir()

    def files(self) -> dict[str, tuple[int, str]]:
        """Return mode and sum of every file in the data folder."""
        found = [path for path in self.data.rglob("*") if path.is_file()]
        return {
            str(p.relative_to(self.data)): (p.stat().st_mode, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in found
        }


@pytest.fixture
def shop(
    tmp_path: Path, stack: Stack, redis_server: Path, redis_cli: str, wait_until: WaitUntil
) -> Iterator[Shop]:
    del redis_cli
    made = Shop(tmp_path, stack, redis_server, wait_until)
    made.start()
    yield made
    made.stop()


@contextlib.asynccontextmanager
async def asking(shop: Shop) -> AsyncIterator[Redis]:
    redis = connect(shop.url, 5)
    try:
        yield redis
    finally:
        await redis.aclose()


async def contents(shop: Shop) -> dict[bytes, Any]:
    """Return every key with what it holds, but for those that end by themselves."""
    async with asking(shop) as redis:
        readers: dict[Any, Callable[[bytes], Any]] = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"set": redis.smembers,
            b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
            b"stream": redis.xrange,
        }
        keys = [key async for key in redis.scan_iter(count=1000) if await redis.ttl(key) < 0]
        return {key: await readers[await redis.type(key)](key) for key in keys}


async def publish(shop: Shop, n: int) -> list[int]:
    """Make versions as the learner does: number, file, manifest."""
    async with asking(shop) as redis:
        return [await _published(Registry(redis, KEYS), shop.data / "weights") for _ in range(n)]


async def _published(registry: Registry, folder: Path) -> int:
    version = await registry.next_version()
    content = f"adapter {version}".encode()
    name = f"adapter-{version:08d}.safetensors"
    write_whole(folder / name, content)
    manifest = Manifest(
        version=version,
        parent=0,
        base_model="tiny",
        prompt_version="1",
        uri=name,
        sha256=hashlib.sha256(content).hexdigest(),
        n_bytes=len(content),
        made_at_ms=1,
        steps=version,
        line=0,
        evidence_seq={},
    )
    await registry.publish(manifest)
    return version


async def serve(shop: Shop, version: int) -> None:
    async with asking(shop) as redis:
        registry = Registry(redis, KEYS)
        await registry.move(Move(stable=await registry.stable_version(), trial=0, serve=version))
        await redis.xadd(KEYS.events(0), {"r": b"\x00\xff of the version %d" % version})


async def test_a_shop_comes_back_from_its_backup_and_gives_no_number_twice(shop: Shop) -> None:
    await publish(shop, 3)
    await serve(shop, 2)
    secret = make_secret(shop.data / "secrets/shop.key")
    for name in ("checkpoints/000000-00000015/progress.json", "cache/model"):
        (shop.data / name).parent.mkdir(parents=True)
        write_whole(shop.data / name, b"{}")
    state, files = await contents(shop), shop.files()
    assert len(state) >= 6
    shop.run("back up")
    lost = await publish(shop, 3)
    await serve(shop, lost[-1])
    shop.stop()
    shop.lose()

    shop.run("restore")
    shop.start()
    assert await contents(shop) == state
    assert shop.files() == {name: one for name, one in files.items() if not name.startswith("cache/")}
    assert read_secret(shop.data / "secrets/shop.key") == secret
    shop.run("after a restore")
    (fresh,) = await publish(shop, 1)
    assert fresh == 3 + JUMP + 1 > max(lost)
    await serve(shop, fresh)
    shop.stop()
    shop.start()  # what was restored, and what came after, is in the log
    await _whole(shop, fresh, [1, 2, 3, fresh])


async def _whole(shop: Shop, stable: int, versions: list[int]) -> None:
    """Look that it serves this version, and that the files of all of them are what the registry says."""
    async with asking(shop) as redis:
        registry = Registry(redis, KEYS)
        assert await registry.stable_version() == stable
        known = await registry.versions()
    assert [manifest.version for manifest in known] == versions
    for manifest in known:
        content = (shop.data / "weights" / manifest.uri).read_bytes()
        assert hashlib.sha256(content).hexdigest() == manifest.sha256


async def test_a_copy_that_was_changed_is_not_restored(shop: Shop) -> None:
    make_secret(shop.data / "secrets/shop.key")
    shop.run("back up")
    assert {path.name for path in shop.backup.iterdir()} == {"state.rdb", "data.tar", "secrets.tar", "sums"}
    with tarfile.open(shop.backup / "data.tar") as archive:
        assert not [name for name in archive.getnames() if "secret" in name]
    shop.stop()
    shop.lose()
    with (shop.backup / "state.rdb").open("ab") as file:
        file.write(b"x")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shop.run("restore")
    assert "state.rdb" in failed.value.stdout + failed.value.stderr
    assert list(shop.redis.iterdir()) == []


async def test_nobody_without_the_password_gets_more_than_a_ping(shop: Shop) -> None:
    def asks(*words: str) -> str:
        argv = ["redis-cli", "-p", str(shop.port), *words]
        return subprocess.run(argv, check=False, capture_output=True, text=True).stdout

    health = ("--user", "health", "--pass", "health", "--no-auth-warning")
    assert asks(*health, "ping").strip() == "PONG"
    assert "NOPERM" in asks(*health, "get", "x")
    assert "NOAUTH" in asks("ping")
    assert asks("-u", shop.url, "--no-auth-warning", "config", "get", "appendonly").split() == [
        "appendonly",
        "yes",
    ]
    assert (
        asks("-u", shop.url, "--no-auth-warning", "config", "get", "maxmemory-policy").split()[-1]
        == "noeviction"
    )


async def test_what_a_later_version_wrote_is_read_by_this_one(shop: Shop) -> None:
    """Going back to the software before needs that: a field that is not known is passed over."""
    await publish(shop, 1)
    later = {"of_a_later_version": {"any": [1]}}
    async with asking(shop) as redis:
        manifest = msgspec.json.decode(await redis.get(KEYS.version(1)) or b"")
        await redis.set(KEYS.version(1), msgspec.json.encode(manifest | later))
        standing = msgspec.to_builtins(Standing(version=1, since_ms=1))
        await redis.hset(KEYS.standings(), "1", msgspec.json.encode(standing | later).decode())
        registry = Registry(redis, KEYS)
        assert (await registry.manifest(1)).version == 1
        assert list(await registry.standings()) == [1]


class Machine:
    """Folders of versions, and a `systemctl` that writes down what it starts, and of which version."""

    def __init__(self, folder: Path) -> None:
        self.opt, self._log, self._bin = folder / "opt", folder / "log", folder / "bin"
        for one in (self.opt / "0.1.0", self.opt / "0.2.0", self._bin):
            one.mkdir(parents=True)
        (self.opt / "current").symlink_to("0.1.0")
        stub = self._bin / "systemctl"
        stub.write_text(f'#!/bin/sh\necho "$(readlink "$OPT/current") $*" >> {self._log}\n')
        stub.chmod(0o755)

    def run(self, title: str) -> list[list[str]]:
        """Return what was restarted, in order, each after the version that it began with."""
        self._log.write_text("")
        path = f"{self._bin}:{os.environ['PATH']}"
        said = {"OPT": str(self.opt), "VERSION": "0.2.0", "PATH": path}
        subprocess.run(["bash", "-euo", "pipefail", "-c", block(title)], env=os.environ | said, check=True)
        return [line.split() for line in self._log.read_text().splitlines()]


def test_who_reads_is_upgraded_before_who_writes_and_back_goes_the_other_way(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    up = machine.run("upgrade")
    assert {line[0] for line in up} == {"0.2.0"}
    assert {line[1] for line in up} == {"restart"}
    order = [name for line in up for name in line[2:]]
    assert order[0] == "unseen-collector@*"
    assert order[-1] == "unseen-serve"
    units = {path.stem.replace("@", "@*") for path in (DEPLOY / "systemd").glob("*.service")}
    assert sorted(order) == sorted(units)
    down = machine.run("rollback of the software")
    assert {line[0] for line in down} == {"0.1.0"}
    assert [name for line in down for name in line[2:]] == order[::-1]


@pytest.mark.parametrize(
    ("recipe", "keys", "rules"),
    [
        ("compose", "/run/secrets/", "rules/"),
        ("systemd", "/run/credentials/prometheus.service/", "/opt/unseen/current/deploy/prometheus/rules/"),
    ],
)
def test_prometheus_takes_the_configuration(recipe: str, keys: str, rules: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or missing(
        "promtool is not installed: tests/install-packages does it"
    )
    (tmp_path / "prometheus.key").write_text("a key")
    text = (DEPLOY / recipe / "prometheus.yml").read_text()
    assert text.count(f"  - {rules}*.yml\n") == 1
    text = text.replace(keys, f"{tmp_path}/").replace(rules, f"{DEPLOY}/prometheus/rules/")
    (tmp_path / "prometheus.yml").write_text(text)
    argv = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule files found" in done.stdout
