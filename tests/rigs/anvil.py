"""A real EVM chain on loopback: anvil, in which a test makes blocks, sends coins and deploys contracts as it likes.

    with Anvil(chain_id=1, start_s=…) as chain:
        token = chain.deploy("Token", text("Dollar"), text("USD"), 6)
        chain.send(chain.accounts[0], token, data=call("transfer(address,uint256)", to, 5))
        chain.mine()

Nothing is mined by itself; each block is `block_s` after the one before. Anybody may be the sender.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcp_server.domain.chains.keccak import keccak256
from tests.rigs.loopback import plain_client

INSTALLED = Path(__file__).parents[2] / ".venv" / "chain"
RICH = hex(10**27)


class Anvil:
    """Use it as a context manager; `url` is where it listens."""

    def __init__(
        self, *, chain_id: int = 1, start_s: int = 1_779_235_200, block_s: int = 12, prune: bool = False
    ) -> None:
        self.url = ""
        self.accounts: list[str] = []
        self._options = ["--chain-id", str(chain_id), "--timestamp", str(start_s), "--port", "0", "--no-mining"]
        self._options += ["--auto-impersonate", "--no-cors"]
        if prune:  # from Prague on a block writes the hash before it into a contract, whose storage it hashes anew
            self._options += ["--prune-history", "--hardfork", "cancun"]
        self._block_s = block_s
        self._process: subprocess.Popen[str] | None = None
        self._client = plain_client(120)

    def __enter__(self) -> Self:
        command = [str(_program()), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Listening on "):
                self.url = f"http://{line.removeprefix('Listening on ').strip()}"
                break
        self.rpc("anvil_setLoggingEnabled", False)  # nobody reads the pipe from here on
        self.rpc("anvil_setBlockTimestampInterval", self._block_s)
        self.accounts = self.rpc("eth_accounts")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._client.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def rpc(self, method: str, *params: Any) -> Any:
        """Call the node; its errors are the test's."""
        return self.rpc_all([(method, list(params))])[0]

    def rpc_all(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Make many calls in one request."""
        asked = [{"jsonrpc": "2.0", "id": n, "method": m, "params": p} for n, (m, p) in enumerate(calls)]
        answer = self._client.post(self.url, json=asked)
        told = sorted(answer.json(), key=lambda part: part["id"])
        for part in told:
            assert "error" not in part, part
        return [part["result"] for part in told]

    def mine(self, blocks: int = 1) -> None:
        """Put what waits into a block, and add empty ones."""
        self.rpc("anvil_mine", hex(blocks))

    def enrich(self, *addresses: str) -> None:
        """Give addresses more coins than they will ever send."""
        self.rpc_all([("anvil_setBalance", [address, RICH]) for address in addresses])

    def send(self, sender: str, to: str | None, *, value: int = 0, data: str = "0x", gas: int = 3_000_000) -> str:
        """Send a transaction, which waits for the next block; give its hash."""
        sent: str = self.rpc("eth_sendTransaction", self.transaction(sender, to, value=value, data=data, gas=gas))
        return sent

    def transaction(
        self, sender: str, to: str | None, *, value: int = 0, data: str = "0x", gas: int = 3_000_000
    ) -> dict[str, Any]:
        """Give a transaction as the node wants it; the price of gas is above any that it will ask for."""
        parts = {"from": sender, "value": hex(value), "data": data, "gas": hex(gas), "gasPrice": hex(10**10)}
        return parts if to is None else {**parts, "to": to}

    def deploy(self, contract: str, *arguments: "str | int") -> str:
        """Deploy one of the test contracts in a block of its own, and give its address."""
        code = (INSTALLED / "contracts" / f"Tokens_sol_{contract}.bin").read_text()
        sent = self.send(self.accounts[0], None, data="0x" + code + encoded(*arguments))
        self.mine()
        address: str = self.rpc("eth_getTransactionReceipt", sent)["contractAddress"]
        return address

    def put_token(self, token: str, at: str, holders: dict[str, int]) -> None:
        """Put a deployed token's code, and balances, at another address: that of a real token."""
        self.rpc("anvil_setCode", at, self.rpc("eth_getCode", token, "latest"))
        self.rpc("anvil_setStorageAt", at, hex(2), self.rpc("eth_getStorageAt", token, hex(2), "latest"))
        for holder, raw in holders.items():
            slot = keccak256(bytes.fromhex(holder[2:].rjust(64, "0") + f"{4:064x}")).hex()
            self.rpc("anvil_setStorageAt", at, "0x" + slot, f"0x{raw:064x}")

    def block(self, number: int | str = "latest") -> dict[str, Any]:
        """Give a block."""
        at = number if isinstance(number, str) else hex(number)
        told: dict[str, Any] = self.rpc("eth_getBlockByNumber", at, False)
        return told

    def now_ms(self) -> int:
        """Give the newest block's time."""
        return int(self.block()["timestamp"], 16) * 1000

    def height(self) -> int:
        """Give the newest block's number."""
        return int(self.block()["number"], 16)


class Text(str):
    """A string argument, where other strings are addresses."""

    __slots__ = ()


def call(signature: str, *arguments: Any) -> str:
    """Give the data of a call of a contract's function."""
    return "0x" + keccak256(signature.encode())[:4].hex() + encoded(*arguments)


def encoded(*arguments: Any) -> str:
    """Write arguments as the ABI has them: integers, addresses, `Text`, and lists of integers or addresses."""
    head, tail = "", ""
    for argument in arguments:
        if isinstance(argument, (Text, list)):
            head += f"{32 * len(arguments) + len(tail) // 2:064x}"
            tail += _dynamic(argument)
        else:
            head += _word(argument)
    return head + tail


def _dynamic(argument: "Text | list[Any]") -> str:
    if isinstance(argument, list):
        return f"{len(argument):064x}" + "".join(map(_word, argument))
    data = argument.encode("utf-8", "surrogatepass")
    return f"{len(data):064x}" + data.hex() + "00" * (-len(data) % 32)


def _word(value: "str | int") -> str:
    return f"{value:064x}" if isinstance(value, int) else value[2:].lower().rjust(64, "0")


def _program() -> Path:
    found = sorted(INSTALLED.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*"))
    assert found, "anvil is not installed: `make .venv/chain.stamp` does it, `make test` too"
    return found[0]
