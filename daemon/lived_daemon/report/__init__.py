"""The report: all that a run's tree holds on one page. :mod:`page` makes it, :mod:`media` what was logged as media."""
