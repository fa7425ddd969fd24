"""A strategy that ends every process that computes with it, but for the one that made it."""

import os


class Lethal:
    def __init__(self) -> None:
        self._made_in = os.getpid()

    @property
    def config(self) -> None:
        if os.getpid() != self._made_in:
            os._exit(1)
