"""The other framework: LitServe around the very learners that `pipeline.serve` has.

    BUNDLE=bundle python -m benchmarks.serve.litserve_peer 8000

One worker and one API server. A batch is what waits when the last one is done, as ours is; with
LitServe's own `batch_timeout` of 0 its worker asks the queue without a pause, so BATCH_TIMEOUT
(seconds) is 0.002 unless said.
"""

import os
import sys
from pathlib import Path
from typing import Any

from litserve import LitAPI, LitServer

from pipeline.serve.bundle import open_bundle
from pipeline.serve.engine import Engine


class Answering(LitAPI):
    """Rows in, what `pipeline.serve` answers out."""

    def setup(self, device: str) -> None:
        """Load the learners."""
        self.engine = Engine(open_bundle(Path(os.environ["BUNDLE"])))

    def batch(self, inputs: list[dict[str, str]]) -> list[dict[str, str]]:
        """The rows that came."""
        return inputs

    def predict(self, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        """The answers to *rows*."""
        return self.engine.answer(self.engine.table(rows))

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """An answer for each."""
        return output


if __name__ == "__main__":
    pause = float(os.environ.get("BATCH_TIMEOUT", "0.002"))
    server = LitServer(
        Answering(max_batch_size=64, batch_timeout=pause),
        accelerator="cpu",
        workers_per_device=1,
        healthcheck_path="/readyz",
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
