"""Who moves what in the tests of chains: two exchanges by their real wallets, and people whom nobody knows."""

from dataclasses import dataclass

from tests.rigs.anvil import Anvil, Text, call

BINANCE, BINANCE_TOO = "0x28c6c06298d514db089934071355e5743bf21d60", "0x21a31ee1afc51d94c2efccaa2092ad1028285549"
KRAKEN = "0x2910543af39aba0cd09dbb2d50200b3e800a63d2"
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
MILLION = 10**12
"""A million USDC in its raw units."""

ETHER = 10**18


@dataclass(frozen=True)
class Town:
    """A chain with USDC on it, of which everybody here has plenty."""

    chain: Anvil
    alice: str
    bob: str

    @classmethod
    def founded_on(cls, chain: Anvil) -> "Town":
        alice, bob = chain.accounts[:2]
        token = chain.deploy("Token", Text("USD Coin"), Text("USDC"), 6)
        chain.put_token(token, USDC, dict.fromkeys((alice, bob, BINANCE, BINANCE_TOO, KRAKEN), 10**18))
        return cls(chain, alice, bob)

    def pay(self, sender: str, receiver: str, raw: int, token: str = USDC) -> str:
        """Send a token; it waits for the next block."""
        return self.chain.send(sender, token, data=call("transfer(address,uint256)", receiver, raw))

    def pass_time(self, blocks: int = 13) -> None:
        """Let so many blocks pass: what is in one of them already is confirmed after twelve."""
        self.chain.mine(blocks)
