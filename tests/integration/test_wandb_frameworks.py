"""Frameworks that log to wandb, with ``lived.wandb.install()`` in its place; each is skipped where it is not installed.

``FRAMEWORKS_PYTHON`` is an interpreter that has them, if this has not: it needs what ``lived`` needs as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lived import wandb
from lived.wandb.api import ApiRun

pytestmark = pytest.mark.usefixtures("wandb_runs")

PYTHON = os.environ.get("FRAMEWORKS_PYTHON", sys.executable)
PATHS = [str(Path(__file__).parents[2] / part) for part in ("client", "daemon", "protocol")]
INSTALL = "import lived.wandb; lived.wandb.install(); import torch; torch.set_num_threads(1)\n"


def ran(tmp_path: Path, code: str, *modules: str, **env: str) -> list[ApiRun]:
    """The runs of a script that needs ``modules``, in the order of time."""
    found = subprocess.run(
        [PYTHON, "-c", f"import importlib.util as u; print([m for m in {modules} if not u.find_spec(m)])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    missing = found.stdout.strip()
    if missing != "[]":
        pytest.skip(f"{PYTHON} has no {missing}; name one that has in FRAMEWORKS_PYTHON")
    paths = [*PATHS, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [PYTHON, "-c", INSTALL + code], cwd=tmp_path, env={**os.environ, **offline, **env}, capture_output=True,
        text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return list(wandb.Api(tmp_path).runs())


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_transformers_logs_what_its_trainer_says(tmp_path: Path) -> None:
    code = """if True:
        from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
        sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=32)
        model = BertForSequenceClassification(BertConfig(**sizes))
        data = [{"input_ids": torch.arange(8), "labels": torch.tensor(i % 2)} for i in range(8)]
        arguments = TrainingArguments(
            "out", report_to="wandb", run_name="named", max_steps=4, logging_steps=1, use_cpu=True,
            eval_strategy="steps", eval_steps=2, disable_tqdm=True,
        )
        Trainer(model, arguments, train_dataset=data, eval_dataset=data).train()
    """
    [run] = ran(
        tmp_path, code, "torch", "transformers", "accelerate",
        WANDB_PROJECT="cats", WANDB_LOG_MODEL="end", WANDB_WATCH="all",
    )  # fmt: skip
    assert (run.project, run.name, run.state) == ("cats", "named", "finished")
    assert list(run.metric("train/global_step").values()) == [1, 2, 2, 3, 4, 4, 4]
    assert len(run.metric("train/loss")) == 4
    assert len(run.metric("eval/loss")) == 2
    assert run.config["max_steps"] == 4
    assert run.config["hidden_size"] == 16
    assert run.summary["train_loss"] > 0
    artifacts = run.logged_artifacts()
    assert artifacts[-1].type == "model"
    assert "model.safetensors" in [file.name for file in artifacts[-1].files()]


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_lightning_logs_to_its_wandb_logger(tmp_path: Path) -> None:
    code = """if True:
        import lightning as L
        from lightning.pytorch.loggers import WandbLogger
        class Model(L.LightningModule):
            def __init__(self):
                super().__init__()
                self.save_hyperparameters({"lr": 0.5})
                self.layer = torch.nn.Linear(2, 1)
            def training_step(self, batch, index):
                loss = self.layer(batch[0]).pow(2).mean()
                self.log("train/loss", loss)
                return loss
            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), 0.1)
        logger = WandbLogger(name="named", project="cats", log_model="all", id="one")
        model = Model()
        logger.watch(model, log="all", log_freq=2)
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(16, 2)), 4)
        checkpoints = L.pytorch.callbacks.ModelCheckpoint(save_top_k=-1)
        trainer = L.Trainer(
            max_epochs=2, logger=logger, accelerator="cpu", log_every_n_steps=1, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[checkpoints],
        )
        trainer.fit(model, data)
        logger.log_table("table", columns=["a"], data=[[1]])
        logger.log_image("image", [torch.zeros(3, 8, 8)], caption=["black"])
        logger.experiment.finish()
        WandbLogger.download_artifact(f"model-{logger.version}:latest", "got")
    """
    [run] = ran(tmp_path, code, "torch", "lightning")
    assert (run.id, run.project, run.name, run.state) == ("one", "cats", "named", "finished")
    assert run.config["lr"] == 0.5
    assert list(run.metric("trainer/global_step").values())[:8] == list(range(8))
    assert len(run.metric("train/loss")) == 8
    assert len(run.media("gradients/layer.weight")) == 4
    assert {"image", "table"} <= set(run.media_keys)
    assert [found.name for found in run.logged_artifacts()] == ["model-one:v0", "model-one:v1"]
    assert (tmp_path / "got/model.ckpt").is_file()


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_accelerate_has_it_for_a_tracker(tmp_path: Path) -> None:
    code = """if True:
        import numpy as np
        from accelerate import Accelerator
        accelerator = Accelerator(log_with="wandb", cpu=True)
        accelerator.init_trackers("cats", config={"lr": 0.5}, init_kwargs={"wandb": {"name": "named"}})
        for step in range(3):
            accelerator.log({"loss": 1.0 / (step + 1)}, step=step)
        tracker = accelerator.get_tracker("wandb")
        tracker.log_images({"image": [np.zeros((8, 8, 3), "uint8")]}, step=2)
        tracker.log_table("table", columns=["a"], data=[[1]], step=2)
        accelerator.end_training()
    """
    [run] = ran(tmp_path, code, "torch", "accelerate")
    assert (run.project, run.name, run.config["lr"]) == ("cats", "named", 0.5)
    assert run.metric("loss") == {0: 1.0, 1: 0.5, 2: pytest.approx(1 / 3)}
    assert run.media_keys == ["image", "table"]


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_optuna_logs_trials_as_runs_of_their_own(tmp_path: Path) -> None:
    code = """if True:
        import warnings
        warnings.simplefilter("ignore")
        import optuna, wandb
        from optuna_integration import WeightsAndBiasesCallback
        callback = WeightsAndBiasesCallback("score", wandb_kwargs={"project": "cats"}, as_multirun=True)
        @callback.track_in_wandb()
        def objective(trial):
            x = trial.suggest_float("x", 1, 2)
            wandb.log({"twice": 2 * x})
            return x
        optuna.create_study().optimize(objective, n_trials=2, callbacks=[callback])
    """
    runs = ran(tmp_path, code, "torch", "optuna", "optuna_integration")
    assert len(runs) == 2
    for run in runs:
        [score] = run.metric("score").values()
        assert run.metric("twice") == {0: pytest.approx(2 * score)}


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_hooks_in_a_model_of_torch_see_what_torch_computes(tmp_path: Path) -> None:
    code = """if True:
        import wandb
        run = wandb.init(id="one")
        model = torch.nn.Sequential(torch.nn.Embedding(8, 4, sparse=True), torch.nn.Linear(4, 1).bfloat16().float())
        run.watch(model, log="all", log_freq=1)
        for _ in range(3):
            model(torch.tensor([1, 2])).sum().backward()
            run.log({"loss": 1.0})
        run.unwatch(model)
        model(torch.tensor([1])).sum().backward()
        half = torch.nn.Linear(2, 1, dtype=torch.bfloat16)
        run.watch(half, log="parameters", log_freq=1)
        half(torch.ones(2, dtype=torch.bfloat16))
    """
    [run] = ran(tmp_path, code, "torch")
    steps = {key: list(run.media(key)) for key in run.media_keys}
    assert steps.pop("parameters/graph_1weight") == steps.pop("parameters/graph_1bias") == [3]
    names = ("0.weight", "1.weight", "1.bias")
    assert steps == {f"{kind}/{name}": [0, 1, 2] for kind in ("gradients", "parameters") for name in names}


CALLS = """if True:
    import argparse, json, sys
    if sys.argv[1] == "lived":
        import lived.wandb
        lived.wandb.install()
    import wandb
    config = {"lr": 0.5, "net": {"depth": 3, "sizes": (1, 2)}, "n": None}
    run = wandb.init(project="cats", id=sys.argv[1], config=config)
    run.config.update(argparse.Namespace(space=1))
    run.config["x/y"] = [1, 2]
    run.config.attribute = True
    run.config.setdefaults({"lr": 9, "width": 2})
    run.define_metric("least", summary="min")
    run.define_metric("both", summary="max,mean")
    run.define_metric("left out", summary="none")
    for step in range(4):
        run.log({"loss": 1.0 - step / 8, "train/acc": step, "least": step}, commit=False)
        run.log({"both": step, "left out": step, "text": "t", "flag": True, "inf": float("inf")})
    run.log({"late": 1}, step=10, commit=True)
    def refusal(call):
        try:
            call()
        except Exception as exc:
            return [kind for kind in (TypeError, wandb.Error, ValueError) if isinstance(exc, kind)][0].__name__
    refusals = [
        refusal(lambda: run.config.update({"lr": 3})), refusal(lambda: run.log([1])), refusal(lambda: run.log({1: 2})),
        refusal(lambda: run.log({"object": object()})), refusal(lambda: run.log({"a": 2}, step="x")),
        refusal(lambda: run.define_metric("a", summary="median")), refusal(lambda: run.watch(3)),
        refusal(lambda: run.save("x", policy="no")), refusal(lambda: wandb.Artifact("a/b", "x")),
    ]
    run.summary["best"] = 0.75
    run.summary.update({"train/acc": 9, "nested": {"deep": 1}})
    summary = {key: run.summary.get(key) for key in run.summary.keys() if key != "step" and not key.startswith("_")}
    summary = {key: dict(value) if hasattr(value, "keys") else value for key, value in summary.items()}
    config, step = dict(run.config), run.step
    run.finish()
    refusals += [refusal(lambda: run.log({"a": 1})), refusal(lambda: wandb.log({})), refusal(lambda: wandb.config["a"])]
    print(json.dumps({"config": config, "summary": summary, "step": step, "refusals": refusals}, sort_keys=True))
"""


@pytest.mark.peers
def test_config_summary_and_refusals_are_those_of_wandb(tmp_path: Path) -> None:
    """``PEERS_PYTHON`` is an interpreter that has it, if this has not."""
    env = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    said: list[Any] = []
    for python, name in ((os.environ.get("PEERS_PYTHON", sys.executable), "wandb"), (sys.executable, "lived")):
        found = subprocess.run([python, "-c", f"import {name}"], capture_output=True, cwd=tmp_path)
        if found.returncode:
            pytest.skip(f"{python} has no {name}; name one that has in PEERS_PYTHON")
        done = subprocess.run(
            [python, "-c", CALLS, name], capture_output=True, text=True, timeout=100, cwd=tmp_path, env=env
        )
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout.splitlines()[-1]))
    assert said[1] == said[0]
