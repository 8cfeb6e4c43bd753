"""Artifacts in a DVC repository: files and directories, copied or not, cached or only described."""

import os
import pathlib

from kit import Live, check_absent, check_exists, must_raise

os.makedirs("models/nested")
for path, text in (("model.pt", "weights"), ("data.csv", "a,b\n1,2\n"), ("models/one.bin", "1"), ("models/nested/two", "2")):
    pathlib.Path(path).write_text(text, encoding="utf-8")

with Live(save_dvc_exp=False) as live:
    live.log_artifact("model.pt", type="model", name="net", desc="A net", labels=["a", "b"], meta={"k": {"deep": [1]}})
    check_exists("model.pt.dvc")
    live.log_artifact(pathlib.Path("models"), type="model")
    check_exists("models.dvc")
    live.log_artifact("data.csv", copy=True)
    check_exists("dvclive/artifacts/data.csv.dvc")
    live.log_artifact("models", copy=True, cache=False, desc="a copy")
    check_absent("dvclive/artifacts/models.dvc")
    live.log_artifact("data.csv", cache=False, desc="described only", name="described")
    live.log_artifact("data.csv", cache=False, type="dataset", name="not valid!")
    must_raise("InvalidDataTypeError", live.log_artifact, 3)
    live.next_step()
