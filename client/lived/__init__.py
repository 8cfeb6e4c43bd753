"""lived: asynchronous logging for training loops, in the layout of DVCLive.

``Live`` is the whole of the front door; errors are in :mod:`lived.error`, the drop-in for DVCLive 3 in
:mod:`lived.dvclive`.
"""

from lived_protocol import __version__

from lived.live import Live
from lived.shipper import Fault

__all__ = ["Fault", "Live", "__version__"]
