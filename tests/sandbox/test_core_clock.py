"""The fast clock never jumps back and says how to compute it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.clock import FastClock
from tests.sandbox.telegram_kit import Desk


class Real:
    """A real clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_product_time_runs_at_its_speed() -> None:
    """At speed 60 a second of real time is a minute of product time."""
    real = Real()
    clock = FastClock(speed=60, real_now=real)
    start = clock.now()
    real.now += 2
    assert clock.now() - start == pytest.approx(120)


def test_speed_zero_stops_it_and_going_on_continues_from_there() -> None:
    """A stopped clock stands still; started again it has lost nothing and skipped nothing."""
    real = Real()
    clock = FastClock(real_now=real)
    clock.set_speed(0)
    stopped = clock.now()
    real.now += 100
    assert clock.now() == stopped
    clock.set_speed(10)
    real.now += 1
    assert clock.now() == pytest.approx(stopped + 10)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["speed", "advance", "wait", "back"]),
            st.floats(min_value=0, max_value=10_000, allow_nan=False),
        )
    )
)
def test_it_never_jumps_back(steps: list[tuple[str, float]]) -> None:
    """Whatever happens, also when the machine's own clock is set back, product time does not decrease."""
    real = Real()
    clock = FastClock(real_now=real)
    last = clock.now()
    for step, value in steps:
        if step == "speed":
            clock.set_speed(value)
        elif step == "advance":
            clock.advance(value)
        elif step == "wait":
            real.now += value
        else:
            real.now -= min(value, 1.0)
            clock.set_speed(clock.speed)
            real.now += min(value, 1.0)
        assert clock.now() >= last - 1e-6
        last = clock.now()


@pytest.mark.parametrize("speed", [-1, math.nan, math.inf, 1e9])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    """A speed below zero or without meaning is an error, and the clock goes on as before."""
    clock = FastClock()
    with pytest.raises(ValueError, match="speed must be"):
        clock.set_speed(speed)
    assert clock.speed == 1


def test_a_stopped_sandbox_goes_on_where_it_was() -> None:
    """What was saved plus the time it was down: never earlier, and not at the fast speed."""
    real = Real()
    clock = FastClock(speed=600, real_now=real)
    real.now += 10
    saved = clock.dump()
    real.now += 30
    later = FastClock(real_now=real)
    later.load(saved)
    assert later.now() == pytest.approx(saved["saved_product"] + 30)
    assert later.speed == 600


def test_the_clock_is_served_and_set_over_http(desk: Desk) -> None:
    """`GET /clock` lets anybody compute product time; speed and advance are set by a POST."""
    before = desk.http.get("/clock").json()
    assert set(before) == {"anchor_real", "anchor_product", "speed", "now"}
    after = desk.post("clock", speed=60, advance_s=3600)
    assert after["speed"] == 60
    assert after["anchor_product"] >= before["now"] + 3600


@pytest.mark.parametrize("wish", [{}, {"speed": "fast"}, {"advance_s": -1}, {"speed": True}, {"sped": 2}])
def test_a_wrong_clock_request_is_explained(desk: Desk, wish: dict[str, object]) -> None:
    """A mistake is answered 400 in the one error shape and changes nothing."""
    answer = desk.http.post("/control/clock", json=wish)
    assert answer.status_code == 400
    assert answer.json()["ok"] is False
    assert answer.json()["error"]
    assert desk.http.get("/clock").json()["speed"] == 1
