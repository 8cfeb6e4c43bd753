"""Every way to say where dvc.yaml goes."""

import pathlib

from kit import Live, check_absent, check_exists, must_raise

for number, where in enumerate([None, False, True, "sub/dvc.yaml", "variant-4/dvc.yaml", pathlib.Path("p/dvc.yaml")]):
    with Live(f"variant-{number}", save_dvc_exp=False, dvcyaml=where) as live:
        live.log_metric("m", 1)
        live.log_param("p", 2)
        live.next_step()
        if not where:
            check_absent("dvc.yaml")
        elif not isinstance(where, bool):
            check_exists(str(where))

must_raise("InvalidDvcyamlError", Live, "refused", save_dvc_exp=False, dvcyaml="other.yaml")

with Live("by-hand", save_dvc_exp=False, dvcyaml=None) as live:
    live.log_metric("m", 1)
    live.make_dvcyaml()
