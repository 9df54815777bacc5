# Two commands matter: `make run` and `make test`. `make help` lists the rest.

PYTHON ?= python3
export PYTHON

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
SOURCES := app.py participation mapping moderation migrations tests
# The test environment contains everything that running needs, so once it is there it serves for both.
READY := $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.runtime)
PYTEST_ARGS ?=
BENCH_ARGS ?=
LOCK := --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --quiet --no-config
UPGRADE ?=

.DEFAULT_GOAL := help
.PHONY: help run demo test check format bench lock vendor messages clean check-python setup setup-dev
.SUFFIXES:

help: ## diese Übersicht
	@echo "Beteiligungsplattform"
	@echo
	@echo "Anfangen"
	@grep -hE '^(run|demo|help):.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo
	@echo "Prüfen"
	@grep -hE '^(test|check|bench):.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo
	@echo "Entwickeln"
	@grep -hE '^(format|lock|vendor|messages|clean):.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo
	@echo "Umgebung: HOST, PORT (8000), DATA_DIR (./data), DATABASE_URL, REDIS_URL; alle in docs/ und deploy/.env.example"

run: $(READY) ## installieren, Demo-Kommune anlegen, starten; Ende mit Strg+C
	@BETEILIGUNG_ENV=$${BETEILIGUNG_ENV:-demo} exec $(BIN)/beteiligung serve --stop-with-parent

demo: $(READY) ## Demo-Daten neu anlegen (löscht die bisherigen Daten der Demo)
	@BETEILIGUNG_ENV=$${BETEILIGUNG_ENV:-demo} $(BIN)/beteiligung migrate
	@BETEILIGUNG_ENV=$${BETEILIGUNG_ENV:-demo} $(BIN)/beteiligung demo --fresh

test: $(VENV)/.dev ## alle Tests; holt, was sie brauchen
	@sh tests/tooling/browser.sh
	@$(RUN) pytest $(PYTEST_ARGS)

check: $(VENV)/.dev ## ruff, mypy, djlint, import-linter
	@echo "ruff" && $(RUN) ruff check --quiet $(SOURCES)
	@echo "mypy" && $(RUN) mypy --no-error-summary
	@echo "djlint" && $(RUN) djlint --lint --quiet templates
	@echo "import-linter" && $(BIN)/lint-imports --no-cache >$(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@echo "Alles in Ordnung."

format: $(VENV)/.dev
	@$(RUN) ruff check --quiet --fix $(SOURCES)

bench: $(VENV)/.dev ## Geschwindigkeit und Speicher messen
	@$(RUN) tests.benchmarks $(BENCH_ARGS)

lock: $(VENV)/.dev ## Versionen in requirements*.txt neu festlegen (UPGRADE=--upgrade hebt sie an)
	@.tools/bin/uv pip compile $(LOCK) $(UPGRADE) requirements-tools.in -o requirements-tools.txt
	@.tools/bin/uv pip compile $(LOCK) $(UPGRADE) pyproject.toml -o requirements.txt
	@.tools/bin/uv pip compile $(LOCK) $(UPGRADE) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt

vendor: $(VENV)/.dev ## Dateien fremder Projekte in static/vendor neu holen (braucht Node)
	@cd static/vendor && npm ci --silent --ignore-scripts && PATH="$(CURDIR)/$(BIN):$$PATH" node vendor.mjs --fonts

messages: $(VENV)/.dev ## Texte für Übersetzungen einsammeln und übersetzen
	@mkdir -p participation/translations
	@$(BIN)/pybabel -q extract -F pyproject.toml -k N_ -k _l --no-location --sort-output --omit-header -o participation/translations/messages.pot .
	@for folder in participation/translations/*/LC_MESSAGES; do \
		[ -d "$$folder" ] || continue; \
		language=$$(basename "$$(dirname "$$folder")"); \
		$(BIN)/pybabel -q update -N --ignore-obsolete --no-wrap -i participation/translations/messages.pot -d participation/translations -l "$$language" && \
		$(BIN)/pybabel -q compile -d participation/translations -l "$$language" || exit 1; \
	done

clean: ## Installation und Zwischenspeicher löschen (Daten bleiben)
	@rm -rf $(VENV) .tools .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './static/*' -prune -exec rm -rf {} +

check-python:
	@sh deploy/install.sh check-python

setup: $(READY)

setup-dev: $(VENV)/.dev

# A system upgrade that takes the Python away leaves a dangling link: then everything is installed anew.
$(VENV)/bin/python: ;

$(VENV)/.runtime: requirements.txt requirements-tools.txt deploy/install.sh $(VENV)/bin/python
	@sh deploy/install.sh runtime

$(VENV)/.dev: requirements-dev.txt requirements-tools.txt deploy/install.sh $(VENV)/bin/python
	@sh deploy/install.sh dev
