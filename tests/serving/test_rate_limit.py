from __future__ import annotations

import pytest

from df2s2_d2.serving import rate_limit
from df2s2_d2.serving.rate_limit import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_clients_come_in_bursts_and_then_at_the_rate():
    clock = Clock()
    limit = RateLimit(60, clock)  # one a second, and 10 at once
    assert [limit.seconds_to_wait("a") for _ in range(11)] == [0] * 10 + [1]
    clock.now = 0.25
    assert limit.seconds_to_wait("a") == 0.75
    clock.now = 1.0
    assert [limit.seconds_to_wait("a") for _ in range(2)] == [0, 1]
    clock.now = 1000.0  # a bucket holds no more than it does
    assert [limit.seconds_to_wait("a") for _ in range(11)] == [0] * 10 + [1]


def test_clients_do_not_share_a_bucket_but_the_addresses_of_one_do():
    limit = RateLimit(6, Clock())  # one at once
    addresses = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", ""]
    assert [limit.seconds_to_wait(a) > 0 for a in addresses] == [False] * 3 + [True, False, False]


def test_no_rate_is_no_limit():
    limit = RateLimit(0, Clock())
    assert {limit.seconds_to_wait("a") for _ in range(1000)} == {0.0}


@pytest.mark.parametrize("others", [1, 2])
def test_clients_that_are_remembered_are_bounded_in_number(monkeypatch, others):
    monkeypatch.setattr(rate_limit, "_MOST_CLIENTS", 2)
    limit = RateLimit(6, Clock())
    assert limit.seconds_to_wait("first") == 0
    for number in range(others):
        limit.seconds_to_wait(f"other {number}")
    # Whoever is forgotten begins anew.
    assert (limit.seconds_to_wait("first") > 0) == (others == 1)
