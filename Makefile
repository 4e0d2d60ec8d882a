# Relaydesk. `make demo` shows it working; `make test` proves it. Both set up everything they need.
PYTHON ?= python3
EXTRAS ?= [dev]
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MODEL := .cache/model
.DEFAULT_GOAL := help

.PHONY: help setup model demo test check torture fleet fill fuzz search hours soak freight bench triage format

help: ## Show the targets.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Relaydesk needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 demo"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (once; a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.$(EXTRAS)'
	@touch $(STAMP)

setup: $(STAMP) ## Make the virtual environment.

model: $(STAMP) ## Fetch the encoder's weights, build the int8 model, train the starter heads.
	@$(BIN)/python -m classifiers.build --into $(MODEL)

demo: model ## Run the whole path in the local sandbox: no account, no server.
	@$(BIN)/relaydesk demo

test: model ## Pass all tests.
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: $(STAMP) ## Lint, format, types, the import rule, spelling, what the install is made of.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml
	@$(BIN)/codespell domain classifiers storage handlers bot sandbox tests benchmarks docs *.md
	@$(BIN)/python -m tests.supply

format: $(STAMP) ## Format the code.
	@$(BIN)/ruff check --fix-only -q . ; $(BIN)/ruff format .

torture: model ## Go on with the recorded campaign: kills and cuts, and a judge (RUNS). With SEED (and KILLS): one run again.
	@if [ -n "$$SEED" ]; then $(BIN)/python -m tests.faults.torture --seed $$SEED --kills $${KILLS:-40}; \
	else $(BIN)/python -m tests.faults.torture --runs $${RUNS:-60}; fi

fleet: model ## Kill any of several processes of each role over one PostgreSQL, and judge (SEED, KILLS).
	@$(BIN)/python -m tests.faults.crew --seed $${SEED:-1} --kills $${KILLS:-12} --commands --files

fill: model ## Fail the database under a running desk (SEED, ROUNDS, ENGINE, DISK=tmpfs as root).
	@$(BIN)/python -m tests.faults.fill --seed $${SEED:-1} --rounds $${ROUNDS:-1} --engine $${ENGINE:-sqlite} --disk $${DISK:-failing}

fuzz: model ## Feed every way in with odd inputs: by grammar, guided by coverage, into a running desk (SEED, INPUTS, SAMPLE).
	@$(BIN)/python -m tests.faults.fuzz --seed $${SEED:-1} --inputs $${INPUTS:-100000}
	@$(BIN)/python -m tests.faults.guided --seed $${SEED:-1} --inputs $${INPUTS:-100000}
	@$(BIN)/python -m tests.faults.running --seed $${SEED:-1} --inputs $${SAMPLE:-200}
	@$(BIN)/python -m tests.faults.running --seed $${SEED:-1} --inputs $${SAMPLE:-200} --telegram webhook --slack http

search: model ## Hold the properties against new examples; `make test` always takes the same ones.
	@$(BIN)/python -m pytest -n 4 -m hypothesis --hypothesis-profile=search

hours: model ## Let time jump under a running desk (SEED, NIGHTS, STEPS).
	@$(BIN)/python -m tests.faults.hours --seed $${SEED:-1} --nights $${NIGHTS:-6}
	@$(BIN)/python -m tests.faults.hours --seed $${SEED:-1} --steps $${STEPS:-12}

soak: model ## A busy week on the fast clock: nothing may grow (SEED, DAYS, SPEED).
	@$(BIN)/python -m tests.faults.soak --seed $${SEED:-1} --days $${DAYS:-7} --speed $${SPEED:-1000}

freight: model ## Carry files at the limits of the platforms, both ways, and hold every byte and the memory (SEED, ONLY).
	@$(BIN)/python -m tests.faults.freight --seed $${SEED:-1} $(if $(ONLY),--only "$(ONLY)")

bench: model ## Run the benchmarks and print their JSON.
	@$(BIN)/python -m benchmarks.path --json

triage: model ## Measure the triage and print its JSON (DATA=folder of the public sets; without it: what needs none).
	@$(BIN)/python -m benchmarks.triage $(if $(DATA),--data "$(DATA)",--only golden --only speed) --json
