"""Many processes at once: one daemon, every run in its own tree, and a rule for those that want the same one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lived_daemon.verify import verify
from trainers import PATIENCE, Trainer, daemons_of, environment, eventually, rows, summary

Start = Callable[..., Trainer]

RACER = """
import sys, lived
with lived.Live(sys.argv[1], report=None) as live:
    for step in range(5):
        live.log_metric("loss", float(step))
        live.next_step()
"""

CHILDREN = """
import multiprocessing, sys, lived

def work(live, number):
    live.log_metric(f"child/{number}", number + 0.5)
    live.log_metric("shared", float(number))
    live.next_step()
    if sys.argv[1] != "fork" or number:
        live.flush()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    live = lived.Live("run", report=None)
    live.log_metric("parent", 1.0)
    live.next_step()
    children = [context.Process(target=work, args=(live, number)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, child.exitcode
    live.log_metric("parent", 2.0)
    live.next_step()
    live.end()
    assert live.faults == [], live.faults
"""


ENDS_BEHIND_ITS_CHILDREN = """
import os, pathlib, sys, lived

metrics = pathlib.Path(sys.argv[1], "plots", "metrics")
live = lived.Live(sys.argv[1], report=None)
for number in range(6):
    live.log_metric("parent", float(number))
    pid = os.fork()
    if not pid:
        for row in range(50):
            live.log_metric(f"child{number}", float(row))
        os._exit(0)
    os.waitpid(pid, 0)
live.flush()
print(*(metrics.joinpath(f"child{number}.tsv").read_text().count("\\n") for number in range(6)))
pid = os.fork()
if not pid:
    live.log_metric("last", 1.0)
    os._exit(0)
os.waitpid(pid, 0)
live.end()
"""

AGAIN = """
import sys, lived
with lived.Live("run", report=None, resume=sys.argv[1] == "resume") as live:
    for _ in range(int(sys.argv[2])):
        live.log_metric("loss", float(live.step))
        live.next_step()
"""


def run_script(folder: Path, home: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    """Start ``text`` as a script in ``folder``."""
    script = folder / "script.py"
    if not script.exists():
        script.write_text(text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "script.py", *arguments],
        cwd=folder,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended_well(process: subprocess.Popen[str]) -> str:
    """Wait for a script; what it said, its exit code being 0."""
    try:
        said, _ = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait(PATIENCE)
    assert process.returncode == 0, said
    return said


def test_many_trainers_with_many_runs_share_one_daemon(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """Four trainers with two runs each, all at once: each row is in its own run's file, and one daemon wrote all."""
    started = [start_trainer() for _ in range(4)]
    for number, trainer in enumerate(started):
        trainer.do(f"runs = [lived.Live(f'run-{number}-{{which}}', report=None) for which in range(2)]")
    code = """
for step in range(300):
    for which, live in enumerate(runs):
        live.log_metric("loss", number * 1000.0 + which * 100000.0 + step)
        live.next_step()
for live in runs:
    live.end()
"""
    for number, trainer in enumerate(started):
        trainer.send(f"number = {number}{code}")
    for trainer in started:
        trainer.receive()
    for number in range(4):
        for which in range(2):
            base = number * 1000 + which * 100_000
            expected = [f"{step}\t{float(base + step)}" for step in range(300)]
            assert rows(tmp_path / "work" / f"run-{number}-{which}", "loss") == expected
    assert len(daemons_of(lived_home)) == 1
    assert [trainer.said() for trainer in started] == [""] * 4


def test_of_two_processes_in_one_directory_the_later_takes_it(start_trainer: Start, tmp_path: Path) -> None:
    """The later run has the directory to itself; the earlier's rows from then on land beside it; both are told."""
    run, earlier, later = tmp_path / "work" / "run", start_trainer(), start_trainer()
    earlier.do("live = lived.Live('run', report=None); live.log_metric('old', 1.0); live.next_step(); live.flush()")
    assert rows(run, "old") == ["0\t1.0"]
    later.do("live = lived.Live('run', report=None); live.log_metric('new', 2.0); live.next_step(); live.flush()")
    earlier.do("live.log_metric('old', 3.0); live.next_step(); live.flush()")
    later.do("live.log_metric('new', 4.0); live.end()")
    earlier.do("live.log_metric('old', 5.0); live.end()")

    beside = run.with_name(f"run@{earlier.ask('live.run_id')}")
    assert rows(run, "new") == ["0\t2.0", "1\t4.0"]
    assert rows(run, "old") == []
    assert "old" not in summary(run)
    assert rows(beside, "old") == ["1\t3.0", "2\t5.0"]
    assert summary(beside)["old"] == 5.0
    assert "new" not in summary(beside)
    for told, other in ((earlier, later), (later, earlier)):
        said = told.said()
        assert said.count("LIVED_RUN_ID") == 1, said
        assert f"process {other.pid} " in said
        assert str(beside) in said


def test_processes_with_one_run_id_log_into_one_tree(start_trainer: Start, tmp_path: Path) -> None:
    """With the same LIVED_RUN_ID nobody is turned away: both processes' metrics are in one tree, without a word."""
    run = tmp_path / "work" / "run"
    trainers = [start_trainer(LIVED_RUN_ID="together") for _ in range(2)]
    for name, trainer in zip("ab", trainers, strict=True):
        trainer.do(f"live = lived.Live('run', report=None); live.log_metric({name!r}, 1.0); live.next_step()")
    for name, trainer in zip("ab", trainers, strict=True):
        trainer.do(f"live.log_metric({name!r}, 2.0); live.next_step(); live.flush()")
    for trainer in trainers:
        trainer.send("live.end()")
    for trainer in trainers:
        trainer.receive()
    for name in "ab":
        assert rows(run, name) == ["0\t1.0", "1\t2.0"]
    assert {key: summary(run)[key] for key in "ab"} == {"a": 2.0, "b": 2.0}
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    assert [trainer.said() for trainer in trainers] == ["", ""]


def test_one_of_two_joined_processes_may_end_long_before_the_other(start_trainer: Start, tmp_path: Path) -> None:
    """In a shared run, one process that ends (or is killed) takes nothing from the other, which goes on."""
    run = tmp_path / "work" / "run"
    first, second, third = (start_trainer(LIVED_RUN_ID="together") for _ in range(3))
    for name, trainer in zip("abc", (first, second, third), strict=True):
        trainer.do(f"live = lived.Live('run', report=None); live.log_metric({name!r}, 1.0); live.flush()")
    first.do("live.end()")
    second.do("live.log_metric('b', 2.0)")
    second.kill()
    third.do("live.log_metric('c', 2.0); live.end()")
    eventually(lambda: rows(run, "b") == ["0\t1.0", "0\t2.0"], "the killed process's last row is in the tree")
    assert rows(run, "a") == ["0\t1.0"]
    assert rows(run, "c") == ["0\t1.0", "0\t2.0"]


def test_what_children_have_logged_is_in_the_tree_when_the_parent_has_waited(tmp_path: Path, lived_home: Path) -> None:
    """They left without a word, as workers do; the parent's ``flush`` and ``end`` return with their rows written."""
    for number in range(3):
        command = [sys.executable, "-c", ENDS_BEHIND_ITS_CHILDREN, f"run{number}"]
        env = environment(lived_home)
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == ["51"] * 6
        assert rows(tmp_path / f"run{number}", "last") == ["0\t1.0"]
        found = summary(tmp_path / f"run{number}")
        assert found == {"parent": 5.0, "last": 1.0, **{f"child{child}": 49.0 for child in range(6)}}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("stop", [False, True])
def test_a_run_id_used_again_knows_nothing_of_the_run_that_had_the_directory_meanwhile(
    resume: bool, stop: bool, tmp_path: Path, lived_home: Path
) -> None:
    """What the first run left in its checkpoint is not true of the directory any more, and no row is cut by it."""
    last = "resume" if resume else "anew"
    for run_id, how, count in (("same", "anew", 10), ("other", "anew", 30), ("same", last, 4)):
        command = [sys.executable, "-c", AGAIN, how, str(count)]
        env = {**environment(lived_home), "LIVED_RUN_ID": run_id}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stderr) == (0, "")
        if stop:
            command = [sys.executable, "-m", "lived_daemon.cli", "stop"]
            subprocess.run(command, env=environment(lived_home), check=True, capture_output=True, timeout=PATIENCE)
    count = 34 if resume else 4
    assert rows(tmp_path / "run", "loss") == [f"{step}\t{float(step)}" for step in range(count)]
    assert summary(tmp_path / "run") == {"loss": count - 1.0, "step": count - 1}
    verdict = verify(str(lived_home), str(tmp_path / "run"))
    assert (verdict.differences, [run["id"] for run in verdict.runs][-1]) == ([], "same")


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "still-open"])
def test_a_new_live_in_the_same_process_takes_the_directory_over(
    ended: bool, start_trainer: Start, tmp_path: Path
) -> None:
    """What an earlier Live logged is cleared, whether it has arrived or not; no other directory, and no warning."""
    run, trainer = tmp_path / "work" / "run", start_trainer()
    trainer.do("one = lived.Live('run', report=None)\nfor step in range(500): one.log_metric('old', float(step))")
    if ended:
        trainer.do("one.end()")
        assert len(rows(run, "old")) == 500
    trainer.do("two = lived.Live('run', report=None); two.log_metric('new', 1.0); two.next_step(); two.end()")
    assert rows(run, "new") == ["0\t1.0"]
    if not ended:
        trainer.do("one.end()")
    assert trainer.close() == 0
    assert not (run / "plots" / "metrics" / "old.tsv").exists()
    assert summary(run) == {"new": 1.0, "step": 0}
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    assert trainer.said() == ""


@pytest.mark.parametrize("same_process", [True, False], ids=["same-process", "other-process"])
def test_a_resumed_run_goes_on_from_one_that_was_never_ended(
    same_process: bool, start_trainer: Start, tmp_path: Path
) -> None:
    """Live(resume=True) has all that an earlier, still open Live logged before, however little of it had arrived."""
    run, trainer = tmp_path / "work" / "run", start_trainer()
    log = "one.log_metric('old', float(step)); one.next_step()"
    trainer.do(f"one = lived.Live('run', report=None)\nfor step in range(500): {log}")
    resumer = trainer if same_process else start_trainer()
    resumer.do("two = lived.Live('run', resume=True, report=None)")
    assert resumer.ask("two.step") == 500
    resumer.do("two.log_metric('new', 1.0); two.next_step(); two.end()")
    assert rows(run, "old") == [f"{step}\t{float(step)}" for step in range(500)]
    assert rows(run, "new") == ["500\t1.0"]
    assert summary(run) == {"old": 499.0, "step": 500, "new": 1.0}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_log_into_their_parents_run(method: str, tmp_path: Path, lived_home: Path) -> None:
    """What children log through a Live inherited by fork, or pickled, is in the parent's tree, beside its own."""
    run = tmp_path / "run"
    said = ended_well(run_script(tmp_path, lived_home, CHILDREN, method))
    for number in range(2):
        expected = [f"1\t{number + 0.5}"]
        eventually(lambda: rows(run, f"child/{number}") == expected, f"child {number}'s row")  # noqa: B023
    eventually(lambda: sorted(rows(run, "shared")) == ["1\t0.0", "1\t1.0"], "both rows of the shared metric")
    assert rows(run, "parent") == ["0\t1.0", "1\t2.0"]
    final = eventually(lambda: (found := summary(run)).get("child", {}).keys() == {"0", "1"} and found, "the summary")
    assert final["parent"] == 2.0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("run")] == ["run"]
    assert said == ""


def test_twelve_trainers_that_race_start_one_daemon(tmp_path: Path, lived_home: Path) -> None:
    """However many find no daemon at the same moment, one is started that serves, and every run is complete."""
    racers = [run_script(tmp_path, lived_home, RACER, f"run-{number}") for number in range(12)]
    said = [ended_well(racer) for racer in racers]
    for number in range(12):
        assert rows(tmp_path / f"run-{number}", "loss") == [f"{step}\t{float(step)}" for step in range(5)]
    assert said == [""] * 12
    assert len(daemons_of(lived_home)) == 1
    (log,) = (lived_home / "log").glob("daemon-*.log")
    assert log.read_text(encoding="utf-8").count(" serves ") == 1


LOGS_ON = """
import sys, time, lived
live = lived.Live("run", report=None)
for number in range(300):
    live.log_metric("loss", float(number))
    live.next_step()
    if number == 50:
        print("fifty", flush=True)
    time.sleep(0.003)
live.end()
print(live.run_id)
"""


def test_a_run_that_resumes_beside_a_living_one_takes_the_directory_at_once(tmp_path: Path, lived_home: Path) -> None:
    """What the living one logs meanwhile is not waited for: it lands beside, and no row of the two is lost."""
    command = [sys.executable, "-c", LOGS_ON]
    env = environment(lived_home)
    first = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "fifty\n"
        done = subprocess.run(
            [sys.executable, "-c", AGAIN, "resume", "5"],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        out, _ = first.communicate(timeout=PATIENCE)
    finally:
        first.kill()
        first.wait()
    beside = rows(tmp_path / f"run@{out.strip()}", "loss")
    landed = rows(tmp_path / "run", "loss")
    own = [f"{number}\t{float(number)}" for number in range(300)]
    taken = len(own) - len(beside)
    assert own[taken:] == beside
    assert taken > 50
    assert landed == [f"{step}\t{float(step)}" for step in range(taken + 5)]
