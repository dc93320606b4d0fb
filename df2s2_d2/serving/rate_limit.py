"""How often a client may come: a bucket of requests for each, which fills up steadily."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

# A bucket holds the requests of so many seconds, so that a folder may be dropped at once.
_BURST_SECONDS = 10.0
# Clients that are remembered; one that is forgotten begins with a full bucket.
_MOST_CLIENTS = 10_000


class RateLimit:
    """Token buckets by client.

    Args:
        requests_per_minute: on average; 0 for any number.
        clock: gives seconds, which never go back.
    """

    def __init__(self, requests_per_minute: int, clock: Callable[[], float] = time.monotonic):
        self._per_second = requests_per_minute / 60
        self._capacity = max(1.0, self._per_second * _BURST_SECONDS)
        self._clock = clock
        # Client -> what its bucket held, and when; those that came last are at the end.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """Count a request of a client.

        Args:
            address: of the client.

        Returns:
            0 if the request is within the limit, else seconds until one will be.
        """
        if not self._per_second:
            return 0.0
        now, client = self._clock(), _client(address)
        held, since = self._buckets.pop(client, (self._capacity, now))
        held = min(self._capacity, held + (now - since) * self._per_second)
        is_within = held >= 1
        self._buckets[client] = (held - is_within, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if is_within else (1 - held) / self._per_second


def _client(address: str) -> str:
    """Whoever an address belongs to: a customer of IPv6 has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # of a socket without an address
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
