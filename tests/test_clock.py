"""Absolute deadlines: no drift, missed ticks are counted and not run after."""

from eyehand.clock import SystemClock, Ticks
from fake_clock import FakeClock


def test_ticks_do_not_drift() -> None:
    clock = FakeClock()
    ticks = Ticks(clock, 20)
    for expected in range(1000):
        assert ticks.wait() == expected
        clock.advance(7_000_000)  # the work of a tick
    assert clock.now_ns() == 999 * 50_000_000 + 7_000_000
    assert ticks.num_skipped == 0


def test_a_rate_that_does_not_divide_a_second_keeps_its_average() -> None:
    clock = FakeClock()
    ticks = Ticks(clock, 35)
    for _ in range(36):
        ticks.wait()
    assert clock.now_ns() == 1_000_000_000


def test_a_held_up_loop_joins_the_grid_again() -> None:
    clock = FakeClock()
    ticks = Ticks(clock, 20)
    ticks.wait()
    clock.advance(180_000_000)
    assert ticks.wait() == 3
    assert ticks.num_skipped == 2
    assert ticks.late_ns == 30_000_000
    assert ticks.wait() == 4
    assert clock.now_ns() == 200_000_000
    assert ticks.late_ns == 0


def test_the_system_clock_waits_and_never_goes_back() -> None:
    clock = SystemClock()
    deadline = clock.now_ns() + 2_000_000
    clock.wait_until(deadline)
    assert clock.now_ns() >= deadline
    clock.wait_until(0)
