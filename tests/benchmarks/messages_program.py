"""A Messages API in a process of its own that answers each request alike; it prints its address first."""

import sys

from tests.rigs.hand_fed_api import Fed, hand_fed_api, stream


def main() -> None:
    with hand_fed_api(Fed(stream("It costs 42.5. " * 20))) as api:
        sys.stdout.write(f"{api.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
