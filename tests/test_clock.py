"""Deadlines do not move with the machine's time zone or with summer time."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import pytest

from participation import clock
from participation.processes.models import Phase, PhaseState


def test_the_hour_that_exists_twice_means_the_earlier_one() -> None:
    assert clock.from_berlin(datetime(2026, 10, 25, 2, 30)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # noqa: DTZ001


def test_the_hour_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        clock.from_berlin(datetime(2027, 3, 28, 2, 30))  # noqa: DTZ001


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_phase_ends_at_the_same_instant_whatever_the_machine_thinks(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TZ", zone)
    time.tzset()
    try:
        end = clock.from_berlin(datetime(2026, 12, 1))  # noqa: DTZ001
        phase = Phase(format_key="collect", starts_at=None, ends_at=end)
        assert phase.state(datetime(2026, 11, 30, 22, 59, 59, tzinfo=UTC)) is PhaseState.OPEN
        assert phase.state(datetime(2026, 11, 30, 23, 0, 0, tzinfo=UTC)) is PhaseState.CLOSED
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_clock_set_back_neither_moves_deadlines_nor_revives_what_is_over() -> None:
    end = datetime(2026, 12, 1, tzinfo=UTC)
    phase = Phase(format_key="collect", starts_at=datetime(2026, 11, 1, tzinfo=UTC), ends_at=end)
    states = [phase.state(datetime(2026, 11, 30, hour, tzinfo=UTC)) for hour in (23, 22)]
    assert states == [PhaseState.OPEN, PhaseState.OPEN]
    assert phase.ends_at == end
