# make demo: watch a real agent being provisioned on this machine.   make test: everything that CI runs.
# Both set up what they need: a virtual environment, locked packages, and (as root) the lab's Debian packages.

PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
RUN    := $(VENV)/bin/
# Nodes of real containers that the stories run on side by side. Three keep two cores busy, and each takes about 3 GB of memory.
NODES  ?= 3
# Many unit tests wait for a socket or a deadline of theirs: more of them at a time than a small machine has cores.
UNIT   := -n 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo test packages unit lab-test soak lint format lock lowest bench docs clean persistence

help:
	@echo "make demo      provision an agent on a node of real containers, and look around (needs root)"
	@echo "make test      unit tests, then the stories on real containers (needs root)"
	@echo "make soak      every version of Hermes in every runtime, there and back, and write docs/reference/versions.md (needs root)"
	@echo "make unit      unit tests alone: seconds, no root"
	@echo "make lint      ruff, mypy --strict, shellcheck"
	@echo "make lowest    unit tests against the oldest supported packages"
	@echo "make bench     benchmarks, as ratios within one run"
	@echo "make docs      write docs/options.md anew from the models"
	@echo "make persistence  see on real containers what persists across what, and write docs/persistence.md (needs root)"
	@echo "make lock      resolve requirements.lock anew"
	@echo "make clean     take the lab down, drop the virtual environment (the lab's cache stays)"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "proxhermes needs Python 3.11 or newer as $(PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  test "$$(id -u)" = 0 || { echo "missing: python3-venv (apt-get install python3-venv)" >&2; exit 1; }; \
	  echo "installing python3-venv"; apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN)python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN)python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	@$(RUN)proxhermes lab demo

test: packages unit lab-test

# The unit tests want some of them: a real sshd behind the SSH door, the real age.
packages: $(READY)
	@test "$$(id -u)" != 0 || $(RUN)proxhermes lab packages

unit: $(READY)
	$(RUN)pytest tests/unit $(UNIT)

lab-test: $(READY)
	@$(RUN)pytest tests/lab -m 'not soak' -n $(NODES) --dist loadfile --no-loadscope-reorder; code=$$?; \
	  for dir in /var/lib/proxhermes-lab/test*; do \
	    test ! -d "$$dir" || $(RUN)proxhermes lab down --instance "$${dir##*/}" || true; \
	  done; exit $$code

# The stories that take too long for CI: every version of Hermes in every runtime on each engine, the way from the oldest
# to the newest and back, code out of images, stopping, profiles, skills, jobs.
soak: packages
	@code=0; PROXHERMES_WRITE_VERSIONS=1 PROXHERMES_TEST_INSTANCE=soak $(RUN)pytest tests/lab/test_versions.py tests/lab/test_upgrade.py \
	    -n $(NODES) --dist loadgroup || code=$$?; \
	  PROXHERMES_TEST_INSTANCE=soak $(RUN)pytest tests/lab -m soak --ignore tests/lab/test_versions.py \
	    --ignore tests/lab/test_upgrade.py -n $(NODES) --dist loadfile --no-loadscope-reorder || code=$$?; \
	  for dir in /var/lib/proxhermes-lab/soak*; do \
	    test ! -d "$$dir" || $(RUN)proxhermes lab down --instance "$${dir##*/}" || true; \
	  done; exit $$code

# Sees on real containers what persists across what, and writes the tables (needs root).
persistence: $(READY)
	@PROXHERMES_WRITE_PERSISTENCE=1 PROXHERMES_TEST_INSTANCE=persistence $(RUN)pytest tests/lab/test_persistence.py; code=$$?; \
	  $(RUN)proxhermes lab down --instance persistence; exit $$code

docs: $(READY)
	$(RUN)python docs/options.py > docs/options.md.new
	mv docs/options.md.new docs/options.md

lint: $(READY)
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy
	$(RUN)shellcheck host_scripts/*.sh .ci/run

format: $(READY)
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

bench: $(READY)
	$(RUN)python benchmarks/startup
	$(RUN)python benchmarks/masking

lock: $(READY)
	$(RUN)uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-config \
	  --custom-compile-command "make lock" --all-extras -o requirements.lock pyproject.toml

# The lower bounds in pyproject.toml are a promise; this keeps it.
lowest: packages
	$(RUN)uv venv --quiet --clear .venv-lowest
	$(RUN)uv pip install --quiet --python .venv-lowest --resolution lowest-direct -e '.[dev,lab]'
	.venv-lowest/bin/pytest tests/unit $(UNIT)

clean:
	@test ! -x $(RUN)proxhermes || $(RUN)proxhermes lab down
	rm -rf $(VENV) .venv-lowest
