# Everything a person does with Mainstay. `make` alone lists it.

# One target directory outside the checkout: RocksDB takes ten minutes to compile and is shared by all checkouts.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/mainstay/target
# Where what users and tests start keeps its data and logs; the cluster of `make up` is in its folder `cluster`.
export MAINSTAY_RUN ?= $(CURDIR)/run
CARGO ?= cargo
# As in scripts/lib.sh: one choice of packages, so that nothing is compiled twice.
ALL := --release --workspace --exclude mainstay-sim
# The cluster of `make up`: how many hosts of each kind, and more flags (UP=--embedded needs no root and has no containers).
MASTERS ?= 3
WORKERS ?=
UP ?=
MAINSTAY := $(CARGO_TARGET_DIR)/release/mainstay --dir $(MAINSTAY_RUN)/cluster

.PHONY: help up down delete setup build test test-etcd verify fix bench bench-quick bench-apiserver bench-apiserver-quick bench-components bench-components-quick bench-stack crash compare-upstream sim stack-faults jepsen jepsen-short jepsen-apiserver jepsen-control jepsen-planted

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

up: setup ## install what is missing, build, start a cluster: three masters, three workers with containers; show a tour
	@scripts/setup nodes || echo "going on without: where they are needed, there are no containers"
	@scripts/build
	@$(MAINSTAY) up --masters=$(MASTERS) $(if $(WORKERS),--workers=$(WORKERS)) $(UP)

down: ## stop what `make up` started; data stays
	@test ! -x $(firstword $(MAINSTAY)) || $(MAINSTAY) down

delete: ## stop it and delete its data, too
	@test ! -x $(firstword $(MAINSTAY)) || $(MAINSTAY) down --delete

setup: ## install what building needs (Debian packages)
	@scripts/setup

build: setup ## build the servers
	@scripts/build

test: setup ## all tests that fit into minutes
	@scripts/test

test-etcd: setup ## the apiserver on real etcds instead of our store: 3.4, 3.5 and, where it is built, 3.6
	@scripts/test-etcd

verify: setup ## formatting, lints and tests; writes nothing
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings
	$(CARGO) clippy --release -p mainstay-sim --features planted --all-targets -- -D warnings
	@scripts/test

fix: ## format, and fix what lints can fix
	$(CARGO) fmt --all
	$(CARGO) clippy --release --workspace --all-targets --fix --allow-dirty --allow-staged

bench: build ## side by side with Debian's etcd, about 25 minutes
	$(CARGO) run $(ALL) --bin mainstay-bench -- compare --subject-bin $(CARGO_TARGET_DIR)/release/kvstore

bench-quick: build ## the same in about 3 minutes
	$(CARGO) run $(ALL) --bin mainstay-bench -- compare --quick --subject-bin $(CARGO_TARGET_DIR)/release/kvstore

# Other stacks for `make bench-apiserver`, such as WITH=--with=upstream=PATH/kube-apiserver,PATH/etcd
WITH ?=

bench-apiserver: build ## apiservers under load: requests, lists, watchers, memory; about 10 minutes
	$(CARGO) run $(ALL) --bin mainstay-bench -- apiserver $(WITH)

bench-apiserver-quick: build ## the same in about 2 minutes
	$(CARGO) run $(ALL) --bin mainstay-bench -- apiserver --quick $(WITH)

bench-components: build ## a whole control plane on 100, 1,000 and 5,000 fake nodes; about 6 minutes
	$(CARGO) run $(ALL) --bin mainstay-bench -- components

bench-components-quick: build ## the same on 100 nodes, about a minute
	$(CARGO) run $(ALL) --bin mainstay-bench -- components --quick

bench-stack: build ## the cluster of `make up`: start, pods, services, memory; needs root, about 10 minutes
	@scripts/setup nodes
	$(CARGO) run $(ALL) --bin mainstay-bench -- stack

# Seeds of `make sim`, and the first of them.
SEEDS ?= 20000
FROM ?= 1

sim: setup ## simulate SEEDS=20000 runs from seed FROM=1: the real member on simulated disks, networks and clocks
	$(CARGO) run --release -p mainstay-sim -- run --seeds $(SEEDS) --from $(FROM)

crash: build ## 200 rounds of kill -9 under load
	$(CARGO) run $(ALL) --bin crash

# More flags for the comparison, as in `make compare-upstream COMPARE="--only sessions"`.
COMPARE ?=

compare-upstream: setup ## side by side with upstream's kube-apiserver, built from source once (needs Go, 15 minutes)
	@status=0; scripts/upstream || status=$$?; test $$status -eq 0 -o $$status -eq 3
	@scripts/build
	$(CARGO) run $(ALL) --bin compare_upstream -- --out $(MAINSTAY_RUN)/upstream $(COMPARE)

# More flags for faults on the cluster, as in `make stack-faults STACK="--only masters,worker --rounds 3"`.
STACK ?=

stack-faults: build ## kills masters, workers, processes and everything under clients that keep asking; needs root, about 20 minutes
	@scripts/setup nodes
	$(CARGO) run $(ALL) --bin stack_faults -- $(STACK)

# More flags for the fault tests, as in `make jepsen JEPSEN="--filter partition --time 60"`.
JEPSEN ?=

jepsen: build ## fault tests on real processes: the whole menu, about an hour; reports in run/jepsen
	@scripts/setup faults
	$(CARGO) run $(ALL) --bin mainstay-jepsen -- menu $(JEPSEN)

jepsen-short: build ## a few of them, under five minutes
	$(CARGO) run $(ALL) --bin mainstay-jepsen -- short $(JEPSEN)

jepsen-apiserver: build ## two apiservers on three members under every nemesis of theirs, about twenty minutes
	@scripts/setup faults
	$(CARGO) run $(ALL) --bin mainstay-jepsen -- apiservers $(JEPSEN)

jepsen-control: setup ## the same menu against Debian's etcd, where it must find nothing
	@scripts/setup faults
	$(CARGO) run $(ALL) --bin mainstay-jepsen -- menu --subject etcd --out run/jepsen-etcd $(JEPSEN)

jepsen-planted: setup ## bugs on purpose: each must be caught by the run that is named for it
	@scripts/build
	$(CARGO) build $(ALL) --features kvstore/planted --bin kvstore-planted
	$(CARGO) build $(ALL) --features apiserver/planted --bin apiserver-planted
	$(CARGO) test $(ALL) --test planted --test planted_api -- --ignored --nocapture --test-threads=1
