"""A cut through a run on its way to becoming the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from lived_protocol import messages

from lived_daemon.pool import Job


@dataclass
class Cut:
    """Becomes valid when every job that was submitted before it has ended.

    ``content`` is the checkpoint's file, ``positions`` the producers' positions at the cut, ``answers`` the barriers
    that it reaches.
    """

    content: bytes
    positions: dict[bytes, int]
    jobs: set[Job]
    answers: list[tuple[bytes, messages.Barrier]]

    def job_ended(self, job: Job) -> bool:
        """Note the end of a job; True if the cut is valid now."""
        self.jobs.discard(job)
        return not self.jobs
