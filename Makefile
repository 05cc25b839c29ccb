# `make demo` and `make test` are all that is needed; both install first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1

.PHONY: install demo test coverage test-slow lint clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: install
	$(BIN)/manifold compare terrain --set 'search.factors=[4]' --set local.epochs=1 --workers 0 \
		--methods world,central,central_total,fedavg,local,uniform,oracle

# Tests run side by side: threads of their own, and the low priority of Ray's workers, make them wait for one another.
test coverage test-slow: export OMP_NUM_THREADS := 1
test coverage test-slow: export OPENBLAS_NUM_THREADS := 1
test coverage test-slow: export RAY_worker_niceness := 0

test: install
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST)

coverage: install
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

test-slow: install
	$(BIN)/python -m pytest -m slow

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage
