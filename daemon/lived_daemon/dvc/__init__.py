"""DVC's work: adding artifacts and saving experiments, in a process of its own per run.

``process`` is the daemon's end, ``work`` the loop of the process, ``run`` what the process knows and does for one run,
``tracking`` and ``experiments`` are the two things asked of DVC, ``signals`` the files the VS Code extension watches.
Only the process imports DVC.
"""
