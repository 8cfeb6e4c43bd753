"""DVC's process against the real DVC and real Git repositories: what it leaves is what DVC reads as its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.dvc.process import DvcProcess

pytestmark = pytest.mark.dvc

Start = Callable[..., tuple[DvcProcess, dict[str, Any]]]


def _environment(**extra: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DVC")}
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**kept, **identity, "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull, **extra}


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, "git", *arguments)


def _dvc(folder: Path, *arguments: str) -> str:
    return _run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A Git repository with one commit that DVC is initialised in."""
    folder = tmp_path / "repo"
    folder.mkdir()
    _git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text("print('hello')\n")
    _dvc(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.fixture
def start() -> Iterator[Start]:
    """Begins a run in a folder; gives its process, and the reply to its ``begin``."""
    started: list[DvcProcess] = []

    def begin(folder: Path, env: dict[str, str] | None = None, **options: Any) -> tuple[DvcProcess, dict[str, Any]]:
        process = DvcProcess(str(folder), _environment(**(env or {})), 0o022, earlier=options.pop("earlier", None))
        started.append(process)
        return process, _begin(process, **options)

    yield begin
    for process in started:
        process.close()


def _begin(process: DvcProcess, **options: Any) -> dict[str, Any]:
    params: dict[str, Any] = {
        "directory": "dvclive",
        "dvc_file": "dvc.yaml",
        "dvcyaml": True,
        "save_dvc_exp": True,
        "exp_name": None,
        "exp_message": None,
        "pid": os.getpid(),
    }
    return process.request("begin", timeout=60, **{**params, **options})


def _finish(process: DvcProcess) -> dict[str, Any]:
    return process.request("finish", timeout=60, directory="dvclive", dvc_file="dvc.yaml")


def _log(folder: Path, loss: float = 0.5) -> None:
    """What the writers would have written."""
    (folder / "dvclive").mkdir(exist_ok=True)
    (folder / "dvclive" / "metrics.json").write_text(json.dumps({"loss": loss}))
    (folder / "dvc.yaml").write_text("metrics:\n- dvclive/metrics.json\n")


def _experiments(folder: Path) -> dict[str, dict[str, Any]]:
    """``dvc exp show``: the data of each experiment of HEAD by its name."""
    shown = json.loads(_dvc(folder, "exp", "show", "--json"))
    head = shown[1]
    return {each["name"]: each["revs"][0]["data"] for each in head["experiments"] or []}


def _reference(folder: Path, target: str, content: Path) -> str:
    """The ``.dvc`` file that ``dvc add`` makes of ``content`` in a repository of its own."""
    other = folder.parent / "reference"
    other.mkdir()
    _dvc(other, "init", "-q", "--no-scm")
    if content.is_dir():
        shutil.copytree(content, other / target)
    else:
        shutil.copy2(content, other / target)
    _dvc(other, "add", "-q", target)
    return (other / f"{target}.dvc").read_text()


def test_what_is_tracked_is_the_snapshot_and_the_workspace_is_untouched(
    repo: Path, tmp_path: Path, start: Start
) -> None:
    """A file that changed since is tracked as it was; the user's newer file stays the same inode with its content."""
    snapshot = tmp_path / "0-model.pt"
    snapshot.write_text("old")
    snapshot.chmod(0o755)
    model = repo / "model.pt"
    model.write_text("newer")
    before = model.stat()
    expected = _reference(repo, "model.pt", snapshot)
    run, _ = start(repo, save_dvc_exp=False)
    for _ in range(2):
        reply = run.request("add", path=str(model), snapshot=str(snapshot))
        assert reply == {"dvc_file": "model.pt.dvc", "gitignore": ".gitignore", "warnings": []}
    after = model.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    assert (repo / "model.pt.dvc").read_text() == expected
    assert (repo / ".gitignore").read_text() == "/model.pt\n"
    model.unlink()
    snapshot.unlink()
    _dvc(repo, "checkout", "-q")
    assert model.read_text() == "old"


def test_an_unchanged_file_leaves_dvc_with_nothing_to_do(repo: Path, tmp_path: Path, start: Start) -> None:
    """After an add with nothing changed since, ``dvc status`` is clean, with a snapshot and without one."""
    for name, snapshot in (("a.pt", None), ("b.pt", str(tmp_path / "0-b.pt"))):
        (repo / name).write_text(name)
        if snapshot:
            shutil.copy2(repo / name, snapshot)
        run, _ = start(repo, save_dvc_exp=False)
        assert run.request("add", path=str(repo / name), snapshot=snapshot)["warnings"] == []
    assert json.loads(_dvc(repo, "status", "--json")) == {}


def test_a_file_that_is_gone_is_tracked_nevertheless(repo: Path, tmp_path: Path, start: Start) -> None:
    """A checkpoint that was rotated away is in the cache, and does not come back by itself."""
    (tmp_path / "0-gone.pt").write_text("content")
    run, _ = start(repo, save_dvc_exp=False)
    reply = run.request("add", path=str(repo / "gone.pt"), snapshot=str(tmp_path / "0-gone.pt"))
    assert reply["warnings"] == []
    assert not (repo / "gone.pt").exists()
    _dvc(repo, "checkout", "-q")
    assert (repo / "gone.pt").read_text() == "content"


def test_a_directory_is_tracked_with_what_dvcignore_leaves(repo: Path, tmp_path: Path, start: Start) -> None:
    """The .dvc file is that of ``dvc add``: what .dvcignore names is left out, changed files are as logged."""
    (repo / ".dvcignore").write_text("*.tmp\n")
    wanted = tmp_path / "wanted"
    (wanted / "sub").mkdir(parents=True)
    (wanted / "a").write_text("a")
    (wanted / "sub" / "b").write_text("b")
    snapshot = tmp_path / "0-data"
    shutil.copytree(wanted, snapshot)
    (snapshot / "sub" / "c.tmp").write_text("c")
    shutil.copytree(wanted, repo / "data")
    (repo / "data" / "a").write_text("newer")
    expected = _reference(repo, "data", wanted)
    run, _ = start(repo, save_dvc_exp=False)
    assert run.request("add", path=str(repo / "data"), snapshot=str(snapshot))["warnings"] == []
    assert (repo / "data.dvc").read_text() == expected
    assert (repo / "data" / "a").read_text() == "newer"


def test_a_file_in_a_tracked_directory_updates_it(repo: Path, tmp_path: Path, start: Start) -> None:
    """Only that file is replaced in the directory's content, as with ``dvc add``."""
    (repo / "data").mkdir()
    for name in ("a", "b"):
        (repo / "data" / name).write_text(name)
    _dvc(repo, "add", "-q", "data")
    (repo / "data" / "a").unlink()
    (repo / "data" / "a").write_text("newest")
    (repo / "data" / "b").unlink()
    (tmp_path / "0-a").write_text("logged")
    run, _ = start(repo, save_dvc_exp=False)
    reply = run.request("add", path=str(repo / "data" / "a"), snapshot=str(tmp_path / "0-a"))
    assert (reply["dvc_file"], reply["warnings"]) == ("data.dvc", [])
    shutil.rmtree(repo / "data")
    _dvc(repo, "checkout", "-q")
    assert {path.name: path.read_text() for path in (repo / "data").iterdir()} == {"a": "logged", "b": "b"}


def test_what_dvc_refuses_is_a_warning(repo: Path, tmp_path: Path, start: Start) -> None:
    """Files in Git, outside of the repository or missing are named in a warning, and nothing is tracked."""
    (tmp_path / "0-x").write_text("x")
    (tmp_path / "outside.pt").write_text("x")
    run, _ = start(repo, save_dvc_exp=False)
    for path, snapshot in (
        (repo / "train.py", tmp_path / "0-x"),
        (tmp_path / "outside.pt", tmp_path / "0-x"),
        (repo / "missing.pt", None),
    ):
        reply = run.request("add", path=str(path), snapshot=None if snapshot is None else str(snapshot))
        assert reply["dvc_file"] is None
        assert path.name in reply["warnings"][0]
    assert _git(repo, "status", "--short") == ""


def test_an_experiment_holds_what_was_logged(repo: Path, tmp_path: Path, start: Start) -> None:
    """The run's files, and artifacts as logged though changed or deleted since, are in it; no model is in Git."""
    run, begun = start(repo, exp_message="the message")
    only = repo / ".dvc/tmp/exps/run/DVCLIVE_ONLY"
    name = begun["exp_name"]
    assert json.loads(only.read_text()) == {"pid": os.getpid(), "exp_name": name}
    _log(repo)
    (repo / "dvclive" / "artifacts").mkdir()
    (repo / "dvclive" / "artifacts" / "copied.pt").write_text("copied")
    (repo / "changed.pt").write_text("newer")
    for file in ("changed.pt", "gone.pt"):
        (tmp_path / f"0-{file}").write_text("logged")
        run.request("add", path=str(repo / file), snapshot=str(tmp_path / f"0-{file}"))
    run.request("add", path=str(repo / "dvclive/artifacts/copied.pt"), snapshot=None)
    reply = _finish(run)
    assert reply["warnings"] == []
    assert reply["exp_name"] == name
    assert not only.exists()
    shown = _experiments(repo)[name]
    assert shown["metrics"]["dvclive/metrics.json"]["data"] == {"loss": 0.5}
    logged = hashlib.md5(b"logged").hexdigest()
    assert {out: data["hash"] for out, data in shown["outs"].items() if out != "dvclive/artifacts/copied.pt"} == {
        "changed.pt": logged,
        "gone.pt": logged,
    }
    revision = reply["experiment_rev"]
    assert _git(repo, "show", "-s", "--format=%s", revision).strip() == "the message"
    files = _git(repo, "ls-tree", "-r", "--name-only", revision).split()
    assert {"changed.pt.dvc", "gone.pt.dvc", "dvclive/metrics.json", "dvclive/artifacts/copied.pt.dvc"} <= set(files)
    assert not {"changed.pt", "dvclive/artifacts/copied.pt"} & set(files)
    assert (repo / "changed.pt").read_text() == "newer"
    assert not (repo / "gone.pt").exists()
    assert sorted(json.loads(_dvc(repo, "status", "--json"))) == ["changed.pt.dvc", "gone.pt.dvc"]


def test_a_repeated_finish_is_the_same_experiment(repo: Path, tmp_path: Path, start: Start) -> None:
    """After a crash of the daemon that nobody heard the end of, there is one experiment, with all that was tracked."""
    (tmp_path / "0-model.pt").write_text("logged")
    run, _ = start(repo, exp_name="mine")
    _log(repo)
    run.request("add", path=str(repo / "model.pt"), snapshot=str(tmp_path / "0-model.pt"))
    first = _finish(run)
    again, _ = start(repo, exp_name="mine", earlier=json.loads(json.dumps(run.remembered)))
    second = _finish(again)
    assert first["exp_name"] == second["exp_name"] == "mine"
    assert list(_experiments(repo)) == ["mine"]
    assert _git(repo, "rev-parse", f"{first['experiment_rev']}^{{tree}}:model.pt.dvc") == _git(
        repo, "rev-parse", f"{second['experiment_rev']}^{{tree}}:model.pt.dvc"
    )


def test_a_name_that_is_taken_gets_another_one(repo: Path, start: Start) -> None:
    """Another run's experiment is not replaced, and the user is told."""
    first, _ = start(repo, exp_name="mine")
    _log(repo)
    _finish(first)
    second, begun = start(repo, exp_name="mine")
    assert begun["exp_name"] != "mine"
    assert "'mine'" in begun["warnings"][0]
    _log(repo, 0.25)
    _finish(second)
    assert set(_experiments(repo)) == {"mine", begun["exp_name"]}


def test_a_run_in_a_subfolder_saves_its_own_paths(repo: Path, start: Start) -> None:
    """Directory, dvc.yaml and artifacts are relative to the trainer's working directory."""
    sub = repo / "sub"
    sub.mkdir()
    run, _ = start(sub)
    _log(sub)
    (sub / "model.pt").write_text("m")
    assert run.request("add", path=str(sub / "model.pt"), snapshot=None)["dvc_file"] == "model.pt.dvc"
    reply = _finish(run)
    assert reply["warnings"] == []
    files = _git(repo, "ls-tree", "-r", "--name-only", reply["experiment_rev"]).split()
    assert {"sub/dvclive/metrics.json", "sub/dvc.yaml", "sub/model.pt.dvc", "sub/.gitignore"} <= set(files)


def test_absolute_paths_serve_as_well(repo: Path, start: Start) -> None:
    """The experiment has the same files where directory and dvc.yaml are given in full."""
    paths = {"directory": str(repo / "dvclive"), "dvc_file": str(repo / "dvc.yaml")}
    run, _ = start(repo, **paths)
    _log(repo)
    reply = run.request("finish", **paths)
    assert reply["warnings"] == []
    files = _git(repo, "ls-tree", "-r", "--name-only", reply["experiment_rev"]).split()
    assert {"dvclive/metrics.json", "dvc.yaml"} <= set(files)


def test_a_stage_that_has_dvc_yaml_as_output_is_warned_of(repo: Path, start: Start) -> None:
    """The warning names the stage and the file; a neighbour whose name only begins alike is no overlap."""
    (repo / "dvc.yaml").write_text("stages:\n  train:\n    cmd: echo\n    outs: [dvclive]\n")
    for directory, count in (("dvclive", 1), ("dvclive2", 0)):
        _, begun = start(repo, directory=directory, dvc_file=f"{directory}/dvc.yaml")
        assert len(begun["warnings"]) == count
        assert all("'train'" in text and f"'{directory}/dvc.yaml'" in text for text in begun["warnings"])


def test_images_are_cached_and_stay_out_of_git(repo: Path, start: Start) -> None:
    """The images' directory is tracked with DVC, and the experiment has its .dvc file in their place."""
    run, _ = start(repo)
    _log(repo)
    images = repo / "dvclive" / "plots" / "images"
    images.mkdir(parents=True)
    (images / "a.png").write_bytes(b"png")
    assert run.request("cache_images", images_path=str(images))["warnings"] == []
    reply = _finish(run)
    files = _git(repo, "ls-tree", "-r", "--name-only", reply["experiment_rev"]).split()
    assert "dvclive/plots/images.dvc" in files
    assert "dvclive/plots/images/a.png" not in files
    assert json.loads(_dvc(repo, "status", "--json")) == {}


def test_without_a_repository_there_is_a_warning(tmp_path: Path, start: Start) -> None:
    """Neither experiment nor artifact, and no .dvc folder out of nowhere."""
    run, begun = start(tmp_path)
    assert (begun["has_repo"], begun["save_dvc_exp"], len(begun["warnings"])) == (False, False, 1)
    (tmp_path / "m").write_text("m")
    assert "'" + str(tmp_path / "m") in run.request("add", path=str(tmp_path / "m"))["warnings"][0]
    assert _finish(run)["experiment_rev"] is None
    assert not (tmp_path / ".dvc").exists()


def test_git_without_dvc_and_without_commits_can_track_but_not_save(tmp_path: Path, start: Start) -> None:
    """DVC is initialised; an artifact is tracked; the missing commit is named."""
    _git(tmp_path, "init", "-q")
    run, begun = start(tmp_path)
    assert (begun["has_repo"], begun["save_dvc_exp"]) == (True, False)
    assert "git commit" in begun["warnings"][0]
    (tmp_path / "m").write_text("m")
    assert run.request("add", path=str(tmp_path / "m"))["dvc_file"] == "m.dvc"
    assert (tmp_path / ".dvc" / "config").exists()


def test_git_without_dvc_saves_an_experiment(repo: Path, start: Start) -> None:
    """In a Git repository that does not know DVC, DVC is initialised, and a repeat loses none of its files."""
    _git(repo, "rm", "-rqf", ".dvc", ".dvcignore")
    shutil.rmtree(repo / ".dvc", ignore_errors=True)
    _git(repo, "commit", "-qm", "no dvc")
    run, _ = start(repo)
    _log(repo)
    for reply in (_finish(run), _finish(run)):
        files = _git(repo, "ls-tree", "-r", "--name-only", reply["experiment_rev"]).split()
        assert {".dvc/config", ".dvcignore", "dvclive/metrics.json"} <= set(files)
    assert list(_experiments(repo)) == [run.remembered["exp_name"]]


def test_nothing_is_pushed(repo: Path, tmp_path: Path, start: Start) -> None:
    """With exp.auto_push on, the experiment is saved, not sent anywhere, and the user is told how to."""
    _git(tmp_path, "init", "-q", "--bare", "remote.git")
    _git(repo, "remote", "add", "origin", str(tmp_path / "remote.git"))
    _dvc(repo, "config", "exp.auto_push", "true")
    _dvc(repo, "config", "exp.git_remote", "origin")
    run, _ = start(repo)
    _log(repo)
    reply = _finish(run)
    assert any("dvc exp push" in text for text in reply["warnings"])
    assert _git(tmp_path / "remote.git", "for-each-ref") == ""


#: A stage's program: begins, tracks what it made, finishes, and prints the replies.
_STAGE = """
import json, os, pathlib
from lived_daemon.dvc.process import DvcProcess
here = pathlib.Path.cwd()
(here / "dvclive").mkdir(exist_ok=True)
(here / "dvclive" / "metrics.json").write_text("{}")
(here / "out.pt").write_text("out")
(here / "loose.pt").write_text("loose")
run = DvcProcess(str(here), os.environ, 0o022)
replies = [run.request("begin", directory="dvclive", dvc_file="dvclive/dvc.yaml", dvcyaml=True, save_dvc_exp=True,
                       exp_name=None, exp_message=None, pid=os.getpid())]
for name in ("out.pt", "loose.pt"):
    replies.append(run.request("add", path=str(here / name)))
(here / "dvclive" / "dvc.yaml").write_text("metrics:\\n- metrics.json\\n")
replies.append(run.request("finish", directory="dvclive", dvc_file="dvclive/dvc.yaml"))
run.close()
with open(os.environ["REPLIES"], "w") as file:
    json.dump(replies, file)
"""


@pytest.mark.parametrize("command", [("exp", "run", "-n", "outer"), ("repro",)])
def test_in_a_pipeline_the_pipeline_saves(repo: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Outputs of the stage are left to it, other files warned of and tracked, the run's directory ends up in Git."""
    (repo / "train.py").write_text(_STAGE)
    stage = f"stages:\n  train:\n    cmd: {sys.executable} train.py\n    deps: [train.py]\n    outs: [out.pt]\n"
    (repo / "dvc.yaml").write_text(stage)
    _git(repo, "add", ".")
    _git(repo, "commit", "-qm", "stage")
    replies_file = tmp_path / "replies"
    env = _environment(REPLIES=str(replies_file))
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command], cwd=repo, env=env, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    begun, output, loose, finished = json.loads(replies_file.read_text())
    inside_exp = command[0] == "exp"
    assert (begun["inside_pipeline"], begun["inside_exp"], begun["save_dvc_exp"]) == (True, inside_exp, False)
    assert [("dvc exp run" in text) for text in begun["warnings"]] == ([] if inside_exp else [True])
    assert (output["dvc_file"], output["warnings"]) == (None, [])
    assert loose["dvc_file"] == "loose.pt.dvc"
    assert "output of the pipeline's stage" in loose["warnings"][0]
    assert finished["experiment_rev"] is None
    if inside_exp:
        assert begun["exp_name"] == "outer"
        revision = _experiments(repo)["outer"]["rev"]
        assert "dvclive/metrics.json" in _git(repo, "ls-tree", "-r", "--name-only", revision).split()


def test_a_repository_that_is_locked_is_waited_for(repo: Path, tmp_path: Path, start: Start) -> None:
    """Another DVC command in the same repository delays the add; it is not lost."""
    (tmp_path / "0-m").write_text("m")
    run, _ = start(repo, save_dvc_exp=False)
    hold = (
        "import sys; from dvc.repo import Repo, lock_repo\nwith lock_repo(Repo()): print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    holder = subprocess.Popen([sys.executable, "-c", hold], cwd=repo, env=_environment(), **pipes)
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        holder.stdout.readline()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(run.request, "add", path=str(repo / "m"), snapshot=str(tmp_path / "0-m"))
            with pytest.raises(NotYet):
                asked.result(timeout=5)
            holder.stdin.close()
            assert asked.result(timeout=60)["dvc_file"] == "m.dvc"


def test_a_users_modules_do_not_shadow_libraries(repo: Path, start: Start) -> None:
    """Folders and files in the working directory that are called like libraries are not imported."""
    for name in ("dvc", "queue", "lived_protocol"):
        (repo / name).mkdir()
        (repo / name / "__init__.py").write_text("raise RuntimeError('shadowed')")
    run, begun = start(repo)
    assert begun["has_repo"]
    _log(repo)
    assert _finish(run)["experiment_rev"] is not None
