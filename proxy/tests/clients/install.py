#!/usr/bin/env python3
"""Installs the pinned clients into a cache outside the checkout and prints where.

The folder is named after the lock files, so a changed pin installs anew and an unchanged one is found again.
Needs python3 with venv, node and npm.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
LOCKS = ["requirements.txt", "package.json", "package-lock.json"]


def place() -> pathlib.Path:
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for name in LOCKS:
        digest.update((HERE / name).read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "penstock" / f"clients-{digest.hexdigest()[:16]}"


def run(*command, cwd: pathlib.Path) -> None:
    subprocess.run([str(word) for word in command], cwd=cwd, check=True, stdout=sys.stderr)


def fill(folder: pathlib.Path) -> None:
    venv = folder / "python"
    run(sys.executable, "-m", "venv", "--clear", venv, cwd=folder)
    run(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt", cwd=folder)
    for name in ["package.json", "package-lock.json"]:
        shutil.copy(HERE / name, folder / name)
    # The one install script that is wanted puts Claude Code's binary in its place.
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
    run("node", "node_modules/@anthropic-ai/claude-code/install.cjs", cwd=folder)


def installed() -> pathlib.Path:
    """The folder, filled."""
    folder = place()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            fill(folder)
            (folder / ".complete").touch()
    return folder


if __name__ == "__main__":
    print(installed())
