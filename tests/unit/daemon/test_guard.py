"""The daemon's limits: who is shown out and told why, what is counted and logged, and who gets how much memory."""

from __future__ import annotations

import logging

import pytest
from lived_daemon import checkpoint, limits
from lived_daemon.ingest.budget import LEAST_WINDOW, MESSAGE_BYTES, Budget
from lived_daemon.ingest.guard import DEAF_SECONDS, MAX_REFUSED, Guard
from lived_daemon.limits import ANYBODY, OWN, Limits
from lived_daemon.shown import LONGEST, shown
from lived_daemon.writers.images import encode_image
from lived_protocol import events, values
from lived_protocol.errors import BeyondBoundsError, InvalidEventError
from lived_protocol.session import WINDOW
from lived_protocol.values import Array


class Clock:
    """Time that a test makes pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def strict(**changes: int) -> values.Bounds:
    """Bounds that nothing reaches, but for those that are changed."""
    every = dict.fromkeys(values.Bounds._fields, 10**9)
    return values.Bounds(**{**every, "depth": 100, **changes})


def test_an_ipc_socket_has_no_limit_that_a_program_could_reach() -> None:
    """What is limited there is what all share, how deep values lie in each other, and nothing else."""
    limited = {name for name in Limits.__dataclass_fields__ if getattr(OWN, name) not in (limits.NONE, float("inf"), 0)}
    assert limited == {"depth", "credit_bytes", "job_bytes"}
    assert Guard.of("ipc:///run/x", OWN).trusting
    assert not Guard.of("tcp://127.0.0.1:1", ANYBODY).trusting


def test_who_is_refused_is_told_why_and_not_heard_for_a_while() -> None:
    """The fault is fatal and has the cause; after a while the producer may try again."""
    clock = Clock()
    door = Guard(ANYBODY, trusting=False, clock=clock)
    fault = door.refuse(b"p", "frame", "an event of 9 bytes")
    assert (fault.fatal, fault.cause) == (True, "an event of 9 bytes")
    assert door.is_refused(b"p")
    assert not door.is_refused(b"q")
    clock.now = DEAF_SECONDS + 1
    assert not door.is_refused(b"p")


def test_a_program_of_the_users_own_is_told_and_heard_all_the_same() -> None:
    """Over ipc nobody is shut out."""
    door = Guard()
    door.refuse(b"p", "message", "nonsense")
    assert not door.is_refused(b"p")


def test_refusals_are_counted_by_reason_logged_at_a_bounded_rate_and_held_in_bounded_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Any number of them is counted; a minute has so many lines of each kind, and says what it left out."""
    clock = Clock()
    door = Guard(ANYBODY, trusting=False, clock=clock)
    caplog.set_level(logging.WARNING, "lived_daemon")
    for number in range(MAX_REFUSED + 500):
        door.refuse(number.to_bytes(16, "big"), "message", "nonsense \x1b[31m")
    door.refuse(b"p", "frame", "too long")
    assert door.refusals == {"message": MAX_REFUSED + 500, "frame": 1}
    assert len(caplog.records) == ANYBODY.log_lines + 1
    assert "\x1b" not in caplog.text
    assert len(door._until) <= MAX_REFUSED
    clock.now = 100.0
    door.refuse(b"p", "message", "nonsense")
    assert f"{MAX_REFUSED + 500 - ANYBODY.log_lines} more of the kind 'message'" in caplog.text


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10, 100, 1000])
def test_all_windows_together_are_bounded_and_none_is_nothing(count: int) -> None:
    """However many producers there are, each may send a little, and all no more than half of what they share."""
    budget = Budget(ANYBODY)
    for number in range(count):
        budget.join(number.to_bytes(16, "big"))
    assert LEAST_WINDOW <= budget.window <= WINDOW
    assert count * budget.window <= max(ANYBODY.credit_bytes // 2, count * LEAST_WINDOW)
    for number in range(count):
        budget.leave(number.to_bytes(16, "big"))
    assert budget.window == WINDOW


def test_large_frames_wait_for_each_other_and_one_is_always_on_its_way() -> None:
    """What is lent together is bounded; a frame larger than all of it goes alone."""
    budget = Budget(Limits(large_bytes=100))
    assert budget.lend(b"a", 1000)
    assert budget.lend(b"a", 1000)
    assert not budget.lend(b"b", 50)
    budget.give_back(b"a")
    assert budget.lend(b"b", 50)
    assert budget.lend(b"c", 50)
    assert not budget.lend(b"d", 1)
    budget.leave(b"b")
    assert budget.lend(b"d", 50)


def test_who_was_lent_room_and_sends_nothing_is_found() -> None:
    """Each message of it begins the time anew."""
    clock = Clock()
    budget = Budget(Limits(stalled_seconds=10), clock)
    budget.lend(b"a", 1000)
    budget.lend(b"b", 1000)
    clock.now = 8
    budget.queue(b"b", 10)
    assert budget.stalled() == []
    clock.now = 12
    assert budget.stalled() == [b"a"]


def test_what_waits_is_bounded_for_each_producer() -> None:
    """More bytes than it was told to send, or that many empty messages, are too much; what is taken in is not."""
    budget = Budget(Limits(queued_bytes=10 * MESSAGE_BYTES))
    assert all(budget.queue(b"a", 0) for _ in range(10))
    assert not budget.queue(b"a", 0)
    assert not budget.queue(b"b", 11 * MESSAGE_BYTES)
    for _ in range(11):
        budget.taken(b"a", 0)
    assert budget.queue(b"a", 0)


def test_the_run_whose_jobs_hold_most_waits() -> None:
    """Where all jobs together hold what they may, who holds less than its share goes on."""
    budget = Budget(Limits(job_bytes=100))
    small, large = object(), object()
    budget.hold(small, 10)
    budget.hold(large, 80)
    assert not budget.is_greedy(large)
    budget.hold(large, 95)
    assert budget.is_greedy(large)
    assert not budget.is_greedy(small)
    assert not budget.is_greedy(object())


# -- values ------------------------------------------------------------------------------------------------------------


def nested(depth: int) -> list[object]:
    """Lists in each other."""
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (nested(11), strict(depth=10)),
        ({"a": {"b": {"c": 1}}}, strict(depth=2)),
        ("x" * 11, strict(text_bytes=10)),
        (list(range(11)), strict(entries=10)),
        ({str(number): 1 for number in range(11)}, strict(entries=10)),
        ([[], [], [], []], strict(containers=4)),
        ([{}, {}, {}, {}], strict(containers=4)),
        (10**1000, strict(digits=1000)),
        (Array("<f4", (100,), bytes(400)), strict(elements=99)),
        ([{10**1000}], strict(digits=1000)),
    ],
)
def test_a_value_beyond_a_bound_is_refused_and_one_at_it_is_not(value: object, bounds: values.Bounds) -> None:
    """Each bound by one."""
    packed = values.pack(value)
    with pytest.raises(BeyondBoundsError) as caught:
        values.unpack(packed, bounds)
    assert getattr(bounds, caught.value.bound) < 10**8, "the bound that was changed"
    wider = values.Bounds(*[bound + 1 if bound < 10**8 else bound for bound in bounds])
    assert values.unpack(packed, wider) == values.unpack(packed)


def test_an_array_that_is_none_is_refused() -> None:
    """Axes that are no lengths, bytes that are none, and axes without elements that would become lists for ever."""
    for fields in (["<f4", [3], "text"], [4, [3], b""], ["<f4", [-1], b""], ["<f4", [10**9, 0], b""], ["<f4", 3, b""]):
        import msgpack

        with pytest.raises(InvalidEventError):
            values.unpack(msgpack.packb(msgpack.ExtType(values.EXT_ARRAY, msgpack.packb(fields))))
    assert values.unpack(values.pack(Array("<f4", (0, 512), b""))).shape == (0, 512)


def test_what_a_checkpoint_could_not_hold_is_no_event() -> None:
    """Values that lie deeper in each other than can be packed again are refused when they come."""
    deep = events.encode(events.Params(1, None, {"a": nested(490)}))
    with pytest.raises(InvalidEventError, match="480 deep"):
        events.decode(deep, OWN.bounds)
    held = events.decode(events.encode(events.Params(1, None, {"a": nested(470)})), OWN.bounds)
    assert checkpoint.encode(checkpoint.Checkpoint(state={"params": list(held)}))


# -- images and text ---------------------------------------------------------------------------------------------------


def test_an_image_of_too_many_pixels_is_not_decoded() -> None:
    """As raw pixels, as an array, and as a small file that holds many; and memory is only had for pixels that came."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (2000, 1000)).save(file, "PNG")
    lots = [
        ("file", {}, file.getvalue()),
        ("pixels", {"mode": "L", "size": [2000, 1000]}, bytes(2_000_000)),
        ("array", {"dtype": "|u1", "shape": [1000, 2000]}, bytes(2_000_000)),
    ]
    for form, info, data in lots:
        with pytest.raises(ValueError, match="2000 times 1000 pixels"):
            encode_image("a.png", form, info, data, 1_999_999)
        assert encode_image("a.png", form, info, data, 2_000_000)
    with pytest.raises(ValueError, match="1 bytes are not 1000000 times 1000000 pixels"):
        encode_image("a.png", "pixels", {"mode": "1", "size": [10**6, 10**6]}, b"x")


def test_a_format_that_pillow_has_other_programs_read_is_not_read_for_strangers() -> None:
    """PostScript is a program; it is not run because somebody sends it."""
    from PIL import EpsImagePlugin

    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n" + b"% " * 200
    assert EpsImagePlugin.EpsImageFile.format == "EPS"
    with pytest.raises(OSError, match="not an image that Pillow can read"):
        encode_image("a.png", "file", {}, data, 100)


def test_text_from_outside_moves_no_cursor_and_stays_on_its_line() -> None:
    """Escapes, line ends and what turns text round are written out; the rest is as it was, in a bounded length."""
    assert shown("a\x1b[31m\r\nb\x9b2J\u202e\u2028\ud800") == "a\\x1b[31m\\x0d\\x0ab\\x9b2J\\u202e\\u2028\\ud800"
    assert shown("größe/訓練 €") == "größe/訓練 €"
    assert len(shown("x" * 10**6)) < LONGEST + 50
