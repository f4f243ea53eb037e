"""Which frames are chosen: a bound is a bound, a film is covered to its end, a short one every second."""

from __future__ import annotations

import itertools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from caid_triage.examine.video_plan import FEW_KEYFRAMES, LEAST_GAP, Plan, plan_frames, thinned

times = st.lists(st.floats(0, 5000, allow_nan=False), min_size=1, max_size=300).map(sorted)


def planned(keys: list[float], end: float, most: int = 512, budget: int = 10**12, rate: float = 25.0) -> Plan:
    return plan_frames(keys, end, most=most, pixels=1000, rate=rate, budget=budget)


def shown(keys: list[float], plan: Plan) -> list[float]:
    return [time for stop in plan.stops for time in (keys[stop.key], *stop.extra)]


@given(times, st.floats(0, 6000), st.integers(1, 600), st.integers(1, 10**8), st.floats(0, 2000))
@example([0.0], 10.0, 100, 10**8, 1.1e-308)
def test_no_plan_is_over_its_bounds(keys: list[float], end: float, most: int, budget: int, rate: float) -> None:
    plan = planned(keys, end, most, budget, rate)
    chosen = shown(keys, plan)
    assert 1 <= len(chosen) <= most
    assert chosen == sorted(chosen)
    assert all(keys[0] <= time <= max(end, keys[-1]) for time in chosen)
    assert len({stop.key for stop in plan.stops}) == len(plan.stops)


@given(times, st.integers(2, 60))
def test_every_keyframe_is_near_a_chosen_one(keys: list[float], most: int) -> None:
    kept = [keys[place] for place in thinned(keys, most)]
    span = (keys[-1] - keys[0]) / (most - 1)
    apart = max((later - earlier for earlier, later in itertools.pairwise(keys)), default=0)
    for key in keys:
        assert min(abs(key - one) for one in kept) <= max(LEAST_GAP, span + apart + LEAST_GAP)


@given(st.floats(0.5, 400), st.integers(1, FEW_KEYFRAMES - 1))
def test_a_film_of_few_keyframes_has_a_frame_in_every_second(length: float, number: int) -> None:
    keys = [length * place / number for place in range(number)]
    chosen = shown(keys, planned(keys, length))
    assert len(chosen) >= math.floor(length)
    edges = [*chosen, length]
    assert max(later - earlier for earlier, later in itertools.pairwise(edges)) <= 1.06


def test_a_short_clip_with_keyframes_far_apart_is_filled_and_one_with_many_is_not() -> None:
    far = [4.0 * place for place in range(12)]
    assert len(shown(far, planned(far, 48))) == 48
    near = [2.0 * place for place in range(12)]
    assert shown(near, planned(near, 24)) == near
    long = [6.0 * place for place in range(100)]
    assert shown(long, planned(long, 600)) == long


def test_motion_jpeg_is_not_hashed_frame_by_frame() -> None:
    keys = [place / 25 for place in range(25 * 60)]
    chosen = shown(keys, planned(keys, 60))
    assert 100 <= len(chosen) <= 134


def test_what_a_film_of_few_keyframes_costs_is_bounded_and_said() -> None:
    plan = planned([0.0], 3600.0, budget=1000 * 1000, rate=25.0)
    assert plan.limited
    assert 2 <= len(shown([0.0], plan)) <= 41
    assert not planned([0.0], 30.0, budget=1000 * 1000, rate=25.0).limited
    assert planned([], 10.0) == Plan(())
