"""`lived verify` names what is missing, changed or extra in a finished run's tree, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lived_daemon import checkpoint, table_verify
from lived_daemon.checkpoint import Checkpoint, Store
from lived_daemon.cli import main
from lived_daemon.ledger import Ledger
from lived_daemon.receipt import Receipt, encode_log
from lived_daemon.verify import Difference, UnverifiableError, verify
from lived_daemon.writers.files import Tree
from lived_daemon.writers.rows import RowWriter
from lived_protocol import events

PRODUCER = b"\x07" * 16
ROWS = "plots/metrics/train/loss.tsv"
IMAGE = "plots/images/a.png"


class Ran:
    """A directory that runs have written into, and the home of the daemon that did it."""

    def __init__(self, base: Path) -> None:
        self.home = base / "home"
        self.root = base / "run"
        self.ledger = Ledger()
        self.runs = 0

    def run(self, rows: int = 5, resume: bool = False, state: str = "ended", image: bytes = b"picture") -> None:
        """One run, as a daemon would have written it."""
        tree = Tree(str(self.root), 0o022)
        receipt = Receipt()
        writer = RowWriter(tree, Ledger(self.ledger.lengths if resume else {}))
        for number in range(rows):
            writer.add("train/loss", (0, number, events.METRIC_PLOT, float(number)), PRODUCER)
        writer.flush()
        for path, content in ((IMAGE, image),):
            tree.replace(path, content)
            receipt.replaced(path, content, PRODUCER)
        tree.replace("metrics.json", b"{}\n")
        receipt.rewritten("metrics.json", b"{}\n")
        self.runs += 1
        self.ledger = writer.ledger
        self.remember(f"run{self.runs}", receipt, state, resume)
        writer.files.close()
        tree.close()

    def remember(self, run_id: str, receipt: Receipt, state: str, resume: bool) -> None:
        """Keep the run's receipt."""
        store = Store(str(self.home), f"key-{run_id}", fsync=False)
        store.add_files(encode_log(receipt.take_noted()))
        run = {"run_id": run_id, "directory": str(self.root), "resume": resume, "continues": False}
        store.save(checkpoint.encode(Checkpoint(ledger=self.ledger, state={"run": run}, documents=receipt.dump())))
        store.save_status(
            {"id": run_id, "directory": str(self.root), "state": state, "opened": self.runs, "updated": str(self.runs)}
        )

    def path(self, path: str) -> Path:
        """A file of the tree."""
        return self.root / path

    def differences(self, **options: Any) -> list[Difference]:
        """What is wrong with the tree."""
        return verify(str(self.home), str(self.root), **options).differences


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    """One run of five rows, an image and a document."""
    made = Ran(tmp_path)
    made.run()
    return made


def test_a_whole_tree_has_no_differences(ran: Ran) -> None:
    """And what was counted is said."""
    verdict = verify(str(ran.home), str(ran.root))
    assert verdict.whole
    assert (verdict.rows, verdict.row_files, verdict.files) == (5, 1, 2)
    producer = {"producer": PRODUCER.hex(), "rows": {"train/loss": 5}, "files": 1}
    assert verdict.runs == [{"id": "run1", "state": "ended", "producers": [producer]}]


@pytest.mark.parametrize("path", [ROWS, IMAGE, "metrics.json"])
def test_a_file_that_is_gone_is_missing(ran: Ran, path: str) -> None:
    """By its path, alone."""
    ran.path(path).unlink()
    (found,) = ran.differences()
    assert found[:2] == ("missing", path)
    assert "it is gone" in found.text


@pytest.mark.parametrize("path", [ROWS, IMAGE, "metrics.json"])
def test_something_else_in_its_place_is_missing_too(ran: Ran, path: str) -> None:
    """A folder, say."""
    ran.path(path).unlink()
    ran.path(path).mkdir()
    assert [one[:2] for one in ran.differences()] == [("missing", path)]


def test_any_changed_byte_is_found(ran: Ran) -> None:
    """Wherever it stands, in rows and in files."""
    for path in (ROWS, IMAGE, "metrics.json"):
        whole = ran.path(path).read_bytes()
        for at in range(len(whole)):
            ran.path(path).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert [one[:2] for one in ran.differences()] == [("changed", path)], at
        ran.path(path).write_bytes(whole)
    assert ran.differences() == []


def test_rows_that_are_cut_off_are_counted(ran: Ran) -> None:
    """Half a row is none."""
    whole = ran.path(ROWS).read_bytes()
    ran.path(ROWS).write_bytes(whole[:-7])
    (found,) = ran.differences()
    assert found[:2] == ("missing", ROWS)
    assert "2 rows of 5 are gone" in found.text


def test_rows_that_stand_twice_are_extra(ran: Ran) -> None:
    """What was written is there; what is behind it was not logged."""
    whole = ran.path(ROWS).read_bytes()
    ran.path(ROWS).write_bytes(whole + whole[-12:])
    (found,) = ran.differences()
    assert found[:2] == ("extra", ROWS)
    assert "2 rows (12 bytes)" in found.text


def test_a_file_that_was_truncated_or_grew_is_changed(ran: Ran) -> None:
    """With both sizes."""
    ran.path(IMAGE).write_bytes(b"pictures")
    assert ran.differences() == [Difference("changed", IMAGE, "it has 8 bytes, 7 were written")]


def test_outputs_that_nobody_logged_are_extra_and_other_files_are_nobody_s_business(ran: Ran) -> None:
    """A model beside them, and what DVC keeps there, is the user's; so is an artifact, which no run clears."""
    for path in ("model.pt", "plots/images.dvc", "plots/.gitignore", "artifacts/earlier.pt", "notes/log.txt"):
        ran.path(path).parent.mkdir(exist_ok=True)
        ran.path(path).write_text("")
    assert ran.differences() == []
    for path in ("plots/metrics/other.tsv", "report.html", ".lived-1.tmp"):
        ran.path(path).parent.mkdir(exist_ok=True)
        ran.path(path).write_text("")
    found = {one.path for one in ran.differences() if one.kind == "extra"}
    assert found == {"plots/metrics/other.tsv", "report.html", ".lived-1.tmp"}


def test_a_resumed_run_is_verified_with_those_before_it(ran: Ran) -> None:
    """Each run's rows against its own receipt; of a file that both wrote, the later holds."""
    ran.run(rows=3, resume=True, image=b"later")
    verdict = verify(str(ran.home), str(ran.root))
    assert verdict.whole
    assert (verdict.rows, [run["id"] for run in verdict.runs]) == (8, ["run1", "run2"])
    whole = ran.path(ROWS).read_bytes()
    ran.path(ROWS).write_bytes(whole.replace(b"4\t4.0\n", b"4\t4.5\n"))
    (found,) = ran.differences()
    assert "5 rows, are not what was written" in found.text
    ran.path(ROWS).write_bytes(whole)
    ran.run(rows=2)
    assert [run["id"] for run in verify(str(ran.home), str(ran.root)).runs] == ["run3"]


def test_what_was_changed_between_two_runs_is_found(ran: Ran) -> None:
    """The later run has appended behind something that the earlier one did not leave."""
    with ran.path(ROWS).open("ab") as file:
        file.write(b"9\t9.0\n")
    ran.ledger = Ledger({ROWS: ran.path(ROWS).stat().st_size})
    ran.run(rows=1, resume=True)
    (found,) = ran.differences()
    assert found == Difference("changed", ROWS, "somebody else changed it between two runs")


def test_a_folder_that_a_resumed_run_has_replaced_has_the_files_of_the_later_one(ran: Ran) -> None:
    """What the earlier one had copied there is not missing."""
    folder = ran.path("artifacts/model")
    for names in (("a", "b"), ("a",)):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_text(name)
        receipt = Receipt()
        receipt.copied(str(ran.root), "artifacts/model", PRODUCER)
        ran.runs += 1
        ran.ledger = Ledger(ran.ledger.lengths)
        ran.remember(f"run{ran.runs}", receipt, "ended", resume=True)
    assert ran.differences() == []
    (folder / "a").unlink()
    assert [one[:2] for one in ran.differences()] == [("missing", "artifacts/model/a")]


@pytest.mark.parametrize(("run_id", "opened"), [("run1", 1), ("later", 2)])
def test_a_run_of_which_there_is_a_journal_is_not_finished(ran: Ran, run_id: str, opened: int) -> None:
    """Also one that has begun in the directory, and is not known yet; one that has another directory does not count."""
    folder = ran.home / "journal" / "00"
    folder.mkdir(parents=True)
    said = {"run_id": run_id, "directory": str(ran.root), "opened": opened}
    (folder / "producer.json").write_text(json.dumps({**said, "directory": "/elsewhere"}))
    assert ran.differences() == []
    (folder / "producer.json").write_text(json.dumps(said))
    with pytest.raises(UnverifiableError, match=f"run {run_id} in .* is not finished, for there is a journal"):
        verify(str(ran.home), str(ran.root))


def test_rows_of_runs_that_are_forgotten_are_left_alone(ran: Ran) -> None:
    """What the run itself wrote is verified, and that the rest is not is said."""
    ran.run(rows=2, resume=True)
    for path in (ran.home / "runs" / "key-run1").iterdir():
        path.unlink()
    verdict = verify(str(ran.home), str(ran.root))
    assert (verdict.whole, verdict.rows) == (True, 2)
    assert "not known any more" in verdict.notes[0]


def test_a_file_changed_during_the_run_is_said(tmp_path: Path) -> None:
    """The daemon saw it, and vouches for no row of it that came before."""
    ran = Ran(tmp_path)
    tree = Tree(str(ran.root), 0o022)
    writer = RowWriter(tree, ran.ledger)
    for number in range(2):
        writer.add("train/loss", (0, number, events.METRIC_PLOT, 0.5), PRODUCER)
        writer.flush()
        if number == 0:
            ran.path(ROWS).write_bytes(b"mine\n")
    ran.remember("run1", Receipt(), "ended", resume=False)
    writer.files.close()
    tree.close()
    (found,) = ran.differences()
    assert found == Difference("changed", ROWS, "somebody else changed it during the run, when 1 row stood in it")


def test_a_tree_that_was_moved_is_verified_by_the_run_s_id(ran: Ran) -> None:
    """Its path says nothing any more."""
    moved = ran.root.with_name("moved")
    ran.root.rename(moved)
    with pytest.raises(UnverifiableError, match="For a tree that was moved, give --run"):
        verify(str(ran.home), str(moved))
    assert verify(str(ran.home), str(moved), "run1").whole
    with pytest.raises(UnverifiableError, match="nothing is known of a run nope"):
        verify(str(ran.home), str(moved), "nope")


def test_what_cannot_be_verified_says_why(ran: Ran) -> None:
    """No directory, no such run, one that goes on, a damaged receipt."""
    with pytest.raises(UnverifiableError, match="is not a directory"):
        verify(str(ran.home), str(ran.root / "absent"))
    log = ran.home / "runs" / "key-run1" / checkpoint.FILES_LOG
    log.write_bytes(b"[]\n")
    with pytest.raises(UnverifiableError, match=r"files\.jsonl: line 1 is damaged"):
        verify(str(ran.home), str(ran.root))
    ran.run(state="active")
    with pytest.raises(UnverifiableError, match=r"run2 in .* is not finished"):
        verify(str(ran.home), str(ran.root))


def test_the_command_prints_what_is_wrong_and_its_exit_code_says_whether(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0, 1 and 2; with --json for scripts."""
    monkeypatch.setenv("LIVED_HOME", str(ran.home))
    runner = CliRunner()
    done = runner.invoke(main, ["verify", str(ran.root)])
    assert done.exit_code == 0
    assert "5 rows in 1 file, 2 other files: all as acknowledged" in done.output
    ran.path(IMAGE).unlink()
    done = runner.invoke(main, ["verify", str(ran.root), "--json"])
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert found["missing"] == [{"path": IMAGE, "why": "it is gone; 7 bytes were written"}]
    assert found["checked"] == {"rows": 5, "row_files": 1, "files": 2}
    done = runner.invoke(main, ["verify", str(ran.root.parent)])
    assert done.exit_code == 2
    assert "nothing is known of a run in" in done.output


def test_what_is_missing_is_shown_first() -> None:
    """Then what is changed, then what is extra; in a folder by name."""
    found = [Difference("extra", "a", ""), Difference("changed", "b", ""), Difference("missing", "c", "")]
    assert [one.path for one in table_verify.in_order(found)] == ["c", "b", "a"]
