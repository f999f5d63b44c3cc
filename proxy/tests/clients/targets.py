"""What the clients are pointed at: the simulator itself, or a pool of accounts on it behind Penstock."""

import json
import pathlib
import urllib.request
from dataclasses import dataclass

from simulator import until

CLIENT_KEY = "sk-of-the-client"


@dataclass(frozen=True)
class Accounts:
    """The credentials of a run: the first is tried before the second. Without a pool both are the client's."""

    first: str
    second: str


class Direct:
    """The simulator without anything between: proves clients and drivers."""

    pooled = False

    def fresh(self, case: str, family: str) -> Accounts:
        return Accounts(f"{CLIENT_KEY}-{case}", f"{CLIENT_KEY}-{case}")


class Pool:
    """Penstock, reading its manifests from a folder. Every case gets accounts of its own, because what one case
    does to an account is remembered."""

    pooled = True

    def __init__(self, folder: str, admin_url: str, simulator_url: str) -> None:
        self.folder = pathlib.Path(folder)
        self.admin = admin_url.rstrip("/")
        self.bases = {"anthropic": f"{simulator_url}/anthropic", "openai": f"{simulator_url}/openai/v1"}
        self.write("clients-pool", [pool()])

    def fresh(self, case: str, family: str) -> Accounts:
        names = [f"{family}-{case}-first", f"{family}-{case}-second"]
        documents = []
        for priority, name in enumerate(names):
            documents += account(name, family, self.bases[family], f"sk-{name}", priority)
        self.write(f"clients-{family}", documents)
        wanted = set(names)
        until(lambda: self.account_names(family), lambda names: wanted == names)
        return Accounts(*(f"sk-{name}" for name in names))

    def write(self, name: str, documents: list) -> None:
        """Written beside and renamed, so that nobody reads half of it. JSON is YAML."""
        text = "\n---\n".join(json.dumps(document, indent=1) for document in documents)
        whole = self.folder / f"{name}.new"
        whole.write_text(text, encoding="utf-8")
        whole.chmod(0o600)
        whole.rename(self.folder / f"{name}.yaml")

    def account_names(self, family: str) -> set[str]:
        with urllib.request.urlopen(f"{self.admin}/debug/state", timeout=5) as answer:
            state = json.load(answer)
        names = {account["id"].rsplit("/", 1)[-1] for account in state["accounts"]}
        return {name for name in names if name.startswith(f"{family}-")}


def account(name: str, provider: str, base: str, key: str, priority: int) -> list[dict]:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {"apiKey": key},
    }
    spec = {"provider": provider, "baseUrl": base, "priority": priority, "credentials": {"secretRef": {"name": name}}}
    return [secret, {**kind("ProviderAccount", name), "spec": spec}]


def pool() -> dict:
    """All accounts; does not wait for limits to end, nor long for an answer to begin."""
    spec = {"retry": {"perTryTimeout": "3s"}, "onExhausted": {"hold": "0s"}}
    return {**kind("AccountPool", "default"), "spec": spec}


def kind(name: str, called: str) -> dict:
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": name, "metadata": {"name": called}}
