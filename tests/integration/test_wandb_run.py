"""What a run of the wandb-like interface is beside its rows: files that it follows, models, and who joins it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import wandb
from lived.error import DvcLiveError, InvalidDataTypeError
from lived.live import Live
from lived.wandb import following, standing
from lived.wandb.errors import ConfigError

pytestmark = pytest.mark.usefixtures("wandb_runs")


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# -- files -------------------------------------------------------------------------------------------------------------


def test_saved_files_are_followed_as_their_policy_says(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for policy in ("live", "now", "end"):
        (work / policy).write_text("1")
    with wandb.init(dir=tmp_path, id="one") as run:
        copies = {policy: Path(run.save(f"work/{policy}", policy=policy)[0]) for policy in ("live", "now", "end")}
        assert copies["live"] == tmp_path / "wandb/one/files/work/live"
        arriving = work / "arriving"
        arriving.write_text("2")
        arriving.replace(work / "live")  # as those do who replace files whole
        (work / "now").write_text("2")
        (work / "end").write_text("2")
        until(lambda: copies["live"].read_text() == "2")
        with (work / "live").open("a") as file:
            file.write("3")
        until(lambda: copies["live"].read_text() == "23")
        (work / "live").unlink()
        assert copies["end"].read_text() == "1"
    assert {policy: copy.read_text() for policy, copy in copies.items()} == {"live": "23", "now": "1", "end": "2"}
    assert not [thread for thread in threading.enumerate() if thread.name == "lived-follow"]


def test_a_file_saved_later_is_followed_too(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path) as run:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_text("1")
            run.save(f"{name}/*")
        for name in ("first", "second"):
            (tmp_path / name / "file").write_text("2")
            until(lambda name=name: (Path(run.dir) / "files" / name / "file").read_text() == "2")  # type: ignore[misc]


def test_where_nothing_can_be_followed_files_are_copied_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no watches left")

    monkeypatch.setattr("watchfiles.watch", refuse)
    (tmp_path / "file").write_text("1")
    with wandb.init(dir=tmp_path, id="one") as run:
        run.save("file")
        until(lambda: "no watches left" in caplog.text)
        (tmp_path / "file").write_text("2")
    assert (tmp_path / "wandb/one/files/file").read_text() == "2"


def test_a_copy_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("new")
    (tmp_path / "copy").write_text("old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        following.copy_whole(str(tmp_path / "file"), str(tmp_path / "copy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file"]
    assert (tmp_path / "copy").read_text() == "old"


def test_saved_names_are_those_of_wandb(tmp_path: Path) -> None:
    (tmp_path / "work/run").mkdir(parents=True)
    (tmp_path / "work/run/a[1]").write_text("1")
    with wandb.init(dir=tmp_path) as run:
        files = Path(run.dir) / "files"
        assert run.save(tmp_path / "work/run/*", policy="now") == [str(files / "run/a[1]")]
        assert run.save("work/run/*", base_path="work", policy="now") == [str(files / "run/a[1]")]
        assert run.save("work/run/a[1]", policy="now") == []
        assert run.save("work/run/a[1]", policy="now", glob=False) == [str(files / "work/run/a[1]")]
        assert run.save("s3://bucket/key") == []
        with pytest.raises(ValueError, match="not below"):
            run.save("work/run/*", base_path="elsewhere")
        with pytest.raises(ValueError, match="policy"):
            run.save("work/run/*", policy="never")


def test_a_saved_file_can_be_restored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    with wandb.init(dir=tmp_path, id="one") as run:
        run.save("file")
        with run.restore("file") or nullcontext() as file:
            assert file is not None
            assert file.read() == "1"
        assert run.restore("nothing") is None
        run.write_logs("said")
    (tmp_path / "file").write_text("2")
    with pytest.raises(ValueError, match="run_path"):
        wandb.restore("file")
    for replace, text in ((False, "2"), (True, "1")):
        with wandb.restore("file", "me/cats/one", replace) or nullcontext() as file:
            assert file is not None
            assert file.read() == text
    assert (tmp_path / "wandb/one/output.log").read_text() == "said\n"


# -- models ------------------------------------------------------------------------------------------------------------


class Tensor:
    """As much of torch's as a hook uses."""

    requires_grad = True

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.hooks: list[Callable[[Tensor], None]] = []

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def numpy(self) -> Any:
        return np.array(self.values)

    dtype = "torch.float64"

    def register_hook(self, hook: Callable[[Tensor], None]) -> Handle:
        self.hooks.append(hook)
        return Handle(self.hooks, hook)


class Handle:
    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self.hooks, self.hook = hooks, hook

    def remove(self) -> None:
        self.hooks.remove(self.hook)


class Module:
    """As much of torch's as ``watch`` uses."""

    def __init__(self) -> None:
        self.weight = Tensor([1.0, 2.0, float("nan")])
        self.hooks: list[Any] = []

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        return [("weight", self.weight)]

    def register_forward_hook(self, hook: Any) -> Handle:
        self.hooks.append(hook)
        return Handle(self.hooks, hook)

    def train(self) -> None:
        for hook in self.hooks:
            hook(self, None, None)
        for hook in self.weight.hooks:
            hook(Tensor([0.5, 0.25]))


Module.__module__ = "torch.nn.modules.module"


def test_watched_models_are_histograms_at_every_pass_that_is_asked_for(tmp_path: Path) -> None:
    one, two = Module(), Module()
    had_torch = "torch" in sys.modules
    with wandb.init(dir=tmp_path, id="one") as run:
        run.watch(one, log="all", log_freq=2)
        run.watch([two], log="gradients", log_freq=1)
        with pytest.raises(ValueError, match="watched already"):
            run.watch(one)
        for _ in range(4):
            one.train()
            two.train()
            run.log({"loss": 0.5})
        run.unwatch(two)
        two.train()
    assert [one.hooks, one.weight.hooks, two.weight.hooks] == [[], [], []]
    read = wandb.Api(tmp_path).run("one")
    assert {key: list(read.media(key)) for key in read.media_keys} == {
        "gradients/weight": [1, 3],
        "gradients/graph_1weight": [0, 1, 2, 3],
        "parameters/weight": [1, 3],
    }
    assert ("torch" in sys.modules) is had_torch


def test_a_tensor_that_cannot_be_read_stops_no_pass(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(Tensor):
        def numpy(self) -> Any:
            raise RuntimeError("on no device")

    model = Module()
    model.weight = Unreadable([1.0])
    with wandb.init(dir=tmp_path) as run:
        run.watch(model, log="all", log_freq=1)
        for _ in range(2):
            model.train()
            run.log({"loss": 0.5})
    assert caplog.text.count("on no device") == 1


def test_what_is_no_module_cannot_be_watched(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path) as run:
        with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
            run.watch(object())
        with pytest.raises(ValueError, match="log must be"):
            run.watch(Module(), log="weights")
        with pytest.raises(ValueError, match="log_freq"):
            run.watch(Module(), log_freq=0)
    with pytest.raises(wandb.UsageError):
        run.watch(Module())


# -- what is logged ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [RuntimeError, OSError, ValueError, DvcLiveError, KeyError])
def test_no_trouble_of_this_side_leaves_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: type[Exception]
) -> None:
    with wandb.init(dir=tmp_path) as run:
        run.log({"loss": 1.5})

        def refuse(*_: object, **__: object) -> None:
            raise trouble("injected")

        for name in ("append_metric", "append", "append_step"):
            with monkeypatch.context() as patch:
                patch.setattr(run._live._recorder, name, refuse)
                run.log({"loss": 1.5, "new": {name: 1}, f"new {name}": wandb.Html("<p>")})
        with monkeypatch.context() as patch:
            patch.setattr(run._live, "log", refuse)
            run.log({"loss": 1.5}, step=9)
    assert caplog.text.count("injected") == 1


def test_what_cannot_be_named_here_costs_itself_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with wandb.init(dir=tmp_path, id="one") as run:
        for _ in range(2):
            run.log({"loss": 1.0, "../out": 2.0, "loss/train": 3.0, "": 4.0, "acc": 5.0})
        with pytest.raises(InvalidDataTypeError):
            run.log({"acc": object()})
    rows = wandb.Api(tmp_path).run("one").history(pandas=False)
    assert rows == [{"_step": 0, "acc": 5.0, "loss": 1.0}, {"_step": 1, "acc": 5.0, "loss": 1.0}]
    assert caplog.text.count("'loss/train' is not logged") == 1


def test_what_cannot_be_a_definition_is_an_error_of_wandb(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path) as run, pytest.raises(wandb.Error, match="median"):
        run.define_metric("loss", summary="median")


def test_the_summary_has_keys_as_attributes_and_slashes_in_them(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path, id="one") as run:
        run.log({"train/loss": 1.5, "acc": 0.5, "nested": {"loss": 1.0}})
        run.summary["best"] = {"acc": 0.75}
        run.summary.final = 3
        run.summary.best.loss = 0.25
        run.summary["train/loss"] = 1.25
        run.summary.update({"list": [1, 2]})
        run.log({"bad": float("inf")})
        assert run.summary.pop("bad") == float("inf")
        expected = {"train/loss": 1.25, "acc": 0.5, "nested.loss": 1.0, "final": 3, "list": [1, 2]}
        assert {**dict(run.summary), "best": None, "step": None} == {**expected, "best": None, "step": None}
        assert dict(run.summary.best) == {"acc": 0.75, "loss": 0.25}
        assert "acc" in run.summary
        assert "nothing" not in run.summary
        with pytest.raises(AttributeError, match="nothing"):
            run.summary.nothing  # noqa: B018 - it raises
        del run.summary["final"]
    content = json.loads((tmp_path / "wandb/one/metrics.json").read_text())
    assert content["train"] == {"loss": 1.25}
    assert content["best"] == {"acc": 0.75, "loss": 0.25}
    assert "final" not in content
    with wandb.init(dir=tmp_path, id="one") as run:
        assert run.summary["train/loss"] == 1.25
        assert "train/loss" in dict(run.summary)


def test_a_config_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("lr: 0.5\nnet: {depth: 3}\n")
    (tmp_path / "theirs.yaml").write_text("wandb_version: 1\nlr: {desc: null, value: 0.25}\n")
    (tmp_path / "list.yaml").write_text("[1]")
    with wandb.init(dir=tmp_path, config="plain.yaml") as run:
        assert run.config.as_dict() == {"lr": 0.5, "net": {"depth": 3}}
        assert run.config_static.lr == 0.5
        with pytest.raises(AttributeError):
            run.config_static["lr"] = 1
    with wandb.init(dir=tmp_path, config="theirs.yaml") as run:
        assert run.config.as_dict() == {"lr": 0.25}
    with wandb.init(dir=tmp_path, config={"array": np.arange(2), "net": {"rate": np.float32(0.5)}}) as run:
        assert run.config.as_dict() == {"array": [0, 1], "net": {"rate": 0.5}}
    for path in ("list.yaml", "nothing.yaml"):
        with pytest.raises(ConfigError, match=path):
            wandb.init(dir=tmp_path, config=path)


# -- what it is --------------------------------------------------------------------------------------------------------


def test_a_run_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "swept")
    with wandb.init("me", "cats", tmp_path, "one", group="team", job_type="train", name="first") as run:
        assert (run.path, run.sweep_id, run.group, run.job_type) == ("me/cats/one", "swept", "team", "train")
        assert (run.settings.run_id, run.settings.project, run.settings.mode) == ("one", "cats", "offline")
        assert (run.url, run.project_url, run.starting_step, run.offline) == (None, None, 0, True)
        assert run.start_time == pytest.approx(time.time(), abs=60)
        assert run.status().sync_time is None
        assert not run.display()
        assert "first" in run.to_html()
        run.pin_config_keys(["lr"])
        run.mark_preempting()
        run._label(code="test")
    assert wandb.Api(tmp_path).run("one").config["wandb"]["pinned_keys"] == ["lr"]


def test_what_needs_a_server_names_the_way_out() -> None:
    for call in (wandb.sweep, wandb.agent, wandb.controller):
        with pytest.raises(wandb.UsageError, match="Optuna"):
            call("id", function=print)


def test_a_pickled_run_is_the_same_here_and_joins_it_elsewhere(tmp_path: Path) -> None:
    code = """if True:
        import pickle, sys
        run = pickle.loads(sys.stdin.buffer.read())
        assert run.config.lr == 0.5 and run.project == "cats"
        run.log({"from child": 1.0})
        run.finish()
    """
    with wandb.init(dir=tmp_path, id="one", project="cats", config={"lr": 0.5}) as run:
        assert pickle.loads(pickle.dumps(run)) is run
        run.log({"loss": 1.0})
        subprocess.run([sys.executable, "-c", code], check=True, input=pickle.dumps(run), timeout=100)
        run.log({"loss": 0.5})
    read = wandb.Api(tmp_path).run("one")
    assert list(read.metric("from child").values()) == [1.0]
    assert list(read.metric("loss").values()) == [1.0, 0.5]


def test_a_process_attaches_to_the_run_of_another(tmp_path: Path) -> None:
    code = """if True:
        import sys
        import lived.wandb as wandb
        run = wandb._attach(sys.argv[1])
        assert wandb.run is run and run.id == "one" and run.config.lr == 0.5
        run.log({"from child": 1.0}, step=7)
        run.finish()
    """
    with wandb.init(dir=tmp_path, id="one", config={"lr": 0.5}) as run:
        assert wandb.attach(run._attach_id) is run
        run.log({"loss": 1.0})
        live = run._live
        assert isinstance(live, Live)
        live.flush(timeout=60)
        subprocess.run([sys.executable, "-c", code, run._attach_id], check=True, timeout=100)
        run.log({"loss": 0.5})
    read = wandb.Api(tmp_path).run("one")
    assert read.metric("from child") == {7: 1.0}
    assert list(read.metric("loss").values()) == [1.0, 0.5]
    with pytest.raises(wandb.UsageError, match="must"):
        wandb.attach("one")


@pytest.mark.parametrize(("ending", "state"), [("", "finished"), ("raise RuntimeError", "failed")])
def test_a_script_that_ends_has_finished_its_run(tmp_path: Path, ending: str, state: str) -> None:
    code = f"""if True:
        import lived.wandb as wandb
        wandb.init(id="one").log({{"loss": 1.0}})
        {ending}
    """
    subprocess.run([sys.executable, "-c", code], timeout=100, capture_output=True)
    assert standing.state(str(tmp_path / "wandb/one")) == state
    assert json.loads((tmp_path / "wandb/one/metrics.json").read_text())["loss"] == 1.0


def test_a_script_that_was_killed_has_crashed(tmp_path: Path) -> None:
    code = "import os, lived.wandb as wandb; wandb.init(id='one').log({'loss': 1.0}); os._exit(1)"
    subprocess.run([sys.executable, "-c", code], timeout=100)
    assert standing.state(str(tmp_path / "wandb/one")) == "crashed"


def ends(code: str) -> None:
    subprocess.run([sys.executable, "-c", f"import os, sys\nfrom lived import wandb\n{code}"], check=False, timeout=100)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("sys.exit(3)", "failed"),
        ("sys.exit('no data')", "failed"),
        ("sys.exit()", "finished"),
        ("with wandb.run: sys.exit(0)", "finished"),
        ("with wandb.run: sys.exit(1)", "failed"),
        ("raise KeyError", "failed"),
    ],
)
def test_how_the_process_ends_is_how_the_run_stands(tmp_path: Path, code: str, state: str) -> None:
    ends(f"wandb.init(id='one')\n{code}")
    assert wandb.Api().run("one").state == state


@pytest.mark.parametrize("ending", ["sys.exit(0)", "wandb.finish(); os._exit(0)"])
def test_a_fork_that_ends_leaves_the_run_to_its_parent(tmp_path: Path, ending: str) -> None:
    """Its rows are in the run, which goes on."""
    ends(
        "run = wandb.init(id='one')\n"
        "if not (child := os.fork()):\n"
        f"    wandb.log({{'below': 1}}); {ending}\n"
        "os.waitpid(child, 0)\n"
        "wandb.log({'state': wandb.Api().run('one').state})\n"
    )
    read = wandb.Api().run("one")
    assert (read.summary["state"], read.state, read.summary["below"]) == ("running", "finished", 1)


def test_a_child_finishes_what_it_has_begun(tmp_path: Path) -> None:
    """A fork with its end, and so does a process of a pool."""
    ends(
        "import multiprocessing\n"
        "def job(name): wandb.init(id=name).log({'loss': 1.0})\n"
        "if not (child := os.fork()):\n"
        "    job('forked'); sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "worker = multiprocessing.get_context('fork').Process(target=job, args=['pooled'])\n"
        "worker.start(); worker.join()\n"
        "job('parent')\n"
    )
    runs = wandb.Api().runs()
    assert {run.id: (run.state, run.summary["loss"]) for run in runs} == dict.fromkeys(
        ["forked", "pooled", "parent"], ("finished", 1.0)
    )
