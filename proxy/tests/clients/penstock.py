"""A simulator and `penstock up` in folders of their own, for as long as the tests run."""

import json
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from simulator import until

# Below those that the kernel chooses from for whoever asks for any.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port that is free now and that the kernel gives to nobody unasked."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port in {PORTS}")


class RunningSimulator:
    """Says where it listens."""

    def __init__(self, programs: pathlib.Path) -> None:
        self.process = subprocess.Popen([programs / "penstock-simulator"], stdout=subprocess.PIPE, text=True)
        said = json.loads(self.process.stdout.readline())
        self.url, self.control = f"http://{said['listen']}", said["control"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class RunningPenstock:
    """Ready to serve when constructed."""

    def __init__(self, programs: pathlib.Path) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-clients-"))
        # The private database refuses to run as root, and its user must get to its folder.
        self.folder.chmod(0o755)
        self.config = self.folder / "penstock.d"
        self.config.mkdir()
        self.log = self.folder / "log.txt"
        proxy, admin = free_port(), free_port()
        addresses = {
            "--config": self.config,
            "--data": self.folder / "data",
            "--proxy-listen": f"127.0.0.1:{proxy}",
            "--admin-listen": f"127.0.0.1:{admin}",
            "--api-listen": f"127.0.0.1:{free_port()}",
            "--grpc-listen": f"127.0.0.1:{free_port()}",
        }
        command = [programs / "penstock", "up", *(str(word) for pair in addresses.items() for word in pair)]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.proxy, self.admin = f"http://127.0.0.1:{proxy}", f"http://127.0.0.1:{admin}"
        try:
            until(self.is_ready, bool)
        except Exception:
            print(self.log.read_text(encoding="utf-8")[-5000:])
            self.stop()
            raise

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"penstock up ended with {self.process.returncode}")
        try:
            with urllib.request.urlopen(f"{self.admin}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
