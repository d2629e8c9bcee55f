"""What users ask, for locust: each sends one row, waits for its answer, sends the next.

ROWS=rows.json locust -f benchmarks/serve/load.py --headless --users 8 --host http://…
"""

import json
import os
import random
from pathlib import Path

from locust import FastHttpUser, constant, task

ROWS = json.loads(Path(os.environ["ROWS"]).read_text(encoding="utf-8"))


class Asking(FastHttpUser):
    """One of the users."""

    wait_time = constant(0)

    @task
    def predict(self) -> None:
        """A row of the test file, drawn at random."""
        self.client.post("/predict", json=random.choice(ROWS))
