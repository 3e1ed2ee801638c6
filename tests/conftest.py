"""Property tests draw the same cases in every run, so that a failure replays; P2PREC_EXPLORE=1 draws new ones.

No deadlines: machines are noisy, and speed is measured in tests/bench.
"""

from __future__ import annotations

import os

from hypothesis import settings

# `make test` shares the files out over two processes, which would else fight for each other's cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("P2PREC_EXPLORE") else "repeat")
