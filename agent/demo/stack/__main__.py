"""`python -m agent.demo.stack`: start both servers, print where they are, wait for Ctrl-C."""

import argparse
import json
import signal
import sys
from functools import partial
from pathlib import Path

from agent.demo.stack import Service, Stack, StackError, start_opensearch, start_redis


def main() -> int:
    """Print one line of JSON once both answer; end them on Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m agent.demo.stack", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="a folder to keep (default: a temporary one)")
    parser.add_argument("--opensearch", metavar="URL", help="use this OpenSearch")
    parser.add_argument("--redis", metavar="URL", help="use this Redis")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Stack(options.data_dir) as stack:
            services = stack.start(
                partial(start_redis, stack.folder, options.redis, spawn=stack.spawn),
                partial(start_opensearch, stack.folder, options.opensearch, spawn=stack.spawn),
            )
            print(json.dumps({service.name: facts(service) for service in services}), flush=True)  # noqa: T201  # its output
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command's message
        return 1
    return 0


def facts(service: Service) -> dict[str, object]:
    """Return what the developer wants to know of a service."""
    return {
        "url": service.url,
        "kind": service.kind,
        "version": service.version,
        "note": service.note,
        "pid": service.process.pid if service.process else None,
    }


if __name__ == "__main__":
    sys.exit(main())
