#!/usr/bin/env python3
"""Runs the real clients through every case and checks what each got and what each account saw.

Direct, to prove the clients:   run.py --simulator target/debug/penstock-simulator
Through a pool:                 run.py --control http://HOST:PORT/_control --simulator-url http://HOST:PORT
                                       --anthropic-base http://127.0.0.1:8080/v1/anthropic
                                       --openai-base http://127.0.0.1:8080/v1/openai
                                       --config-dir ./penstock.d --admin http://127.0.0.1:9901
Prints a line a run and a summary in JSON; the exit code is 1 if anything failed.
"""

import argparse
import json
import os
import subprocess
import sys
import urllib.parse

import checks
from cases import CASES, FAMILY, OPERATIONS
from install import HERE, installed
from simulator import Simulator
from targets import CLIENT_KEY, Direct, Pool
from tee import Tee

DRIVERS = {
    "anthropic-python": ["anthropic_python.py"],
    "anthropic-node": ["anthropic_node.mjs"],
    "openai-python": ["openai_python.py"],
    "openai-node": ["openai_node.mjs"],
    "claude-code": ["claude_code.py"],
    "codex": ["codex_cli.py"],
}
DRIVER_SECONDS = 600


class Harness:
    """The installed clients, and the tested addresses behind recording relays."""

    def __init__(self, simulator: Simulator, target, bases: dict) -> None:
        self.simulator, self.target = simulator, target
        self.folder = installed()
        self.tees, self.bases = {}, {}
        for family, base in bases.items():
            url = urllib.parse.urlsplit(base)
            self.tees[family] = Tee(url.hostname, url.port)
            self.bases[family] = f"http://127.0.0.1:{self.tees[family].port}{url.path}"

    def drive(self, client: str, operations: list) -> dict:
        """Runs a client and returns its verdict."""
        driver = HERE / "drivers" / DRIVERS[client][0]
        program = self.folder / "python/bin/python" if driver.suffix == ".py" else "node"
        environment = {
            **os.environ,
            "CLIENT_BASE_URL": self.bases[FAMILY[client]],
            "CLIENT_API_KEY": CLIENT_KEY,
            "CLIENT_MODULES": str(self.folder / "package.json"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [program, driver, *operations],
            env=environment,
            capture_output=True,
            text=True,
            timeout=DRIVER_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{client} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])["operations"]

    def sent(self, client: str) -> list:
        return self.tees[FAMILY[client]].take()

    def fresh(self, name: str):
        """A clean slate, and the accounts of the next run."""
        accounts = self.target.fresh(name)
        self.simulator.reset()
        for tee in self.tees.values():
            tee.take()
        return accounts


def plan(arguments, target):
    """What is run: name, function."""
    clients = arguments.clients.split(",")
    for case in CASES:
        if not target.pooled and not case.direct:
            continue
        for client in clients:
            if case.operations_of(client):
                yield f"{case.name}: {client}", lambda h, n, c=client, k=case: checks.case(h, n, c, k)
    for client in clients:
        if client in OPERATIONS and client.endswith(("python", "node")):
            yield f"cancel: {client}", lambda h, n, c=client: checks.cancellation(h, n, c)
        if client.endswith("python"):
            yield f"many at once: {client}", lambda h, n, c=client: checks.many(h, n, c)


def run(harness: Harness, arguments) -> int:
    results = {}
    for name, check in plan(arguments, harness.target):
        if arguments.only and arguments.only not in name:
            continue
        try:
            check(harness, name.replace(": ", "-"))
            results[name] = "ok"
        except Exception as error:  # a failed run must not hide the others
            results[name] = f"{type(error).__name__}: {error}"
        print(f"{'ok    ' if results[name] == 'ok' else 'FAILED'} {name}", end="", flush=True)
        print("" if results[name] == "ok" else f"\n         {results[name]}", flush=True)
    failed = {name: result for name, result in results.items() if result != "ok"}
    print(json.dumps({"runs": len(results), "failed": failed}))
    return 1 if failed or not results else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulator", help="program to start and to point the clients at directly")
    parser.add_argument("--control", help="control interface of a running simulator")
    parser.add_argument("--simulator-url", help="where that simulator serves, without a path")
    parser.add_argument("--anthropic-base", help="what Anthropic's clients are given as their base URL")
    parser.add_argument("--openai-base", help="what OpenAI's clients are given as their base URL")
    parser.add_argument("--config-dir", help="folder of manifests that the tested Penstock reads")
    parser.add_argument("--admin", help="its proxy's admin listener")
    parser.add_argument("--clients", default=",".join(OPERATIONS), help="which, separated by commas")
    parser.add_argument("--only", help="only runs whose name contains this")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    if not arguments.simulator:
        bases = {"anthropic": arguments.anthropic_base, "openai": arguments.openai_base}
        target = Pool(arguments.config_dir, arguments.admin, arguments.simulator_url)
        return run(Harness(Simulator(arguments.control), target, bases), arguments)
    with subprocess.Popen([arguments.simulator], stdout=subprocess.PIPE, text=True) as program:
        try:
            said = json.loads(program.stdout.readline())
            url = f"http://{said['listen']}"
            bases = {"anthropic": f"{url}/anthropic", "openai": f"{url}/openai/v1"}
            return run(Harness(Simulator(said["control"]), Direct(), bases), arguments)
        finally:
            program.terminate()


if __name__ == "__main__":
    sys.exit(main())
