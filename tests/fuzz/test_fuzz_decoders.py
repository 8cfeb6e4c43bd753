"""No bytes make a decoder raise anything but what it says, hang, or hold more than it was given."""

from __future__ import annotations

import pytest
from fuzz_kit import LEAST, fuzz, kept, seconds, seed
from fuzz_targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_raises_what_it_says_and_nothing_else(name: str) -> None:
    """Half a second of changed inputs for each; what has once fallen through comes first."""
    target = TARGETS[name]
    outcome = fuzz(target.call, [*target.beginnings, *kept(name)], target.allowed, seconds(0.4), seed())
    print(f"{name}: {outcome}")
    assert outcome.crash is None, f"{outcome.crash[0]!r}\n{outcome.crash[1]}"
    assert outcome.inputs >= LEAST


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_raises_what_it_says_for_longer(name: str) -> None:
    """The same, for a minute each, or ``FUZZ_SECONDS`` in all."""
    target = TARGETS[name]
    outcome = fuzz(target.call, [*target.beginnings, *kept(name)], target.allowed, seconds(60), seed())
    print(f"{name}: {outcome}")
    assert outcome.crash is None, f"{outcome.crash[0]!r}\n{outcome.crash[1]}"
