# Two commands on a fresh machine: make demo, make test.
# Each makes .venv where missing, installs the pinned versions once, and runs.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: demo test faults mutants clean

demo: $(READY)  ## train on the built-in competition, blend, write the submission
	$(RUN) -m pipeline.cv --model linear
	$(RUN) -m pipeline.cv --model minilm-siamese --set epochs=1
	$(RUN) -m pipeline.ensemble
	$(RUN) -m demo.leaderboard

test: export PYTHONDONTWRITEBYTECODE =  # compile once, not in each of the suite's many processes
test: $(READY)  ## all that must hold before main moves
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist worksteal -m "not nightly"

faults: $(READY)  ## the nightly run: 60 trials of each kind of fault, about an hour; all that `test` left out
	FAULT_TRIALS=60 OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist worksteal tests/faults
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist worksteal -m nightly tests --ignore tests/faults

mutants: $(READY)  ## would the tests notice? MUTANTS="--share 40 metrics" for more; see docs/mutation.md
	OMP_NUM_THREADS=1 $(RUN) -m benchmarks.mutation $(MUTANTS)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python"; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[demo,dev]" -c constraints.txt
	@touch $(READY)

clean:  ## remove the environment; everything trained stays
	rm -rf $(VENV)
