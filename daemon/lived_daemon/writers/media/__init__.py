"""The kinds of media: which files each makes of what was logged, and what the index says of them.

What always holds: :attr:`Kind.files` and :attr:`Kind.note` are quick and pure, since the run's own thread asks them in
the order of the events; :attr:`Kind.encode` may take long, and is asked by the pool. The contents that it makes stand
in the order of ``files``. The layout is specified in MEDIA.md.
"""

from __future__ import annotations

from typing import Any

import orjson

from lived_daemon.writers.media.arrays import ARRAY
from lived_daemon.writers.media.audio import AUDIO
from lived_daemon.writers.media.charts import CHART
from lived_daemon.writers.media.histogram import HISTOGRAM
from lived_daemon.writers.media.image import IMAGE
from lived_daemon.writers.media.kind import Kind
from lived_daemon.writers.media.molecule import MOLECULE
from lived_daemon.writers.media.objects import OBJECT3D
from lived_daemon.writers.media.plotly import PLOTLY
from lived_daemon.writers.media.table import table_kind
from lived_daemon.writers.media.texts import HTML
from lived_daemon.writers.media.video import VIDEO

#: By the name that events have for it.
KINDS: dict[str, Kind] = {
    "array": ARRAY,
    "audio": AUDIO,
    "chart": CHART,
    "histogram": HISTOGRAM,
    "html": HTML,
    "image": IMAGE,
    "molecule": MOLECULE,
    "object3D": OBJECT3D,
    "plotly": PLOTLY,
    "video": VIDEO,
}
# Cells are of the kinds before it: a table is in no table.
KINDS["table"] = table_kind(dict(KINDS))


def render_line(line: dict[str, Any]) -> bytes:
    """A line of an index as JSON in UTF-8, without its end. NaN and infinity become null, as JSON has no form for them.

    Raises:
        TypeError: something in it has no form in JSON.
    """
    return orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS)
