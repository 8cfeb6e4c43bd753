"""Lets the contract tests import the comparison and the harness that stand beside them."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
