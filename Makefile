# Everything that one does with this tree; `make` alone lists it.

CARGO ?= cargo
PREFIX ?= /usr/local
# Where cargo builds; the tests find the program below it by themselves.
TARGET := $(or $(CARGO_TARGET_DIR),target)
PROGRAM := $(TARGET)/release/mocker
KIT := $(TARGET)/release/mocker-conformance
DATA := $(DESTDIR)$(PREFIX)/share
COMPLETIONS := \
	$(DATA)/bash-completion/completions/mocker \
	$(DATA)/zsh/site-functions/_mocker \
	$(DATA)/fish/vendor_completions.d/mocker.fish
# mkfs.btrfs, losetup and their like; a root shell got by `su` may lack them.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

.PHONY: help build demo test test-all soak fuzz bench install uninstall lint ci clean

help: ## what you are reading
	@echo "mocker: containers whose commits cost nothing. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-16s %s\n", $$1, $$2 }'

build: ## compile the program, target/release/mocker, and the conformance kit
	@scripts/setup.sh build
	CARGO=$(CARGO) scripts/build.sh mocker mocker-conformance

demo: ## as root: install what is missing, build, and show init, run, commit, run
	@scripts/demo.sh

test: ## as root: install what the tests need, and run them all
	@scripts/setup.sh test
	$(CARGO) build --locked --workspace
	$(CARGO) test --locked --workspace

test-all: ## the same on every file system (half an hour)
	MOCKER_TEST_LANES=all $(MAKE) --no-print-directory test

soak: ## as root: long random scripts, thousands of short ones and of comparisons, hundreds of power cuts
	@scripts/setup.sh test
	$(CARGO) build --locked --workspace
	MOCKER_TEST_LANES=$${MOCKER_TEST_LANES:-all} MOCKER_TEST_SOAK=1 \
		$(CARGO) test --locked --workspace --test main_job -- random
	MOCKER_TEST_LANES=$${MOCKER_TEST_LANES:-all} MOCKER_TEST_SOAK=1 \
		$(CARGO) test --locked --workspace --test main_job -- changes::d15
	MOCKER_TEST_LANES=$${MOCKER_TEST_LANES:-all} MOCKER_TEST_SOAK=1 \
		$(CARGO) test --locked --workspace --test main_job -- faults

fuzz: ## damaged answers of the kernel to searches of btrfs, for ten minutes (SECONDS=600)
	MOCKER_FUZZ_SECONDS=$(or $(SECONDS),600) $(CARGO) test --locked -p mocker-backend-btrfs fuzz:: -- --nocapture

bench: ## as root: install the peers, and time mocker beside them (ARGS=--quick)
	@scripts/setup.sh bench
	CARGO=$(CARGO) scripts/build.sh mocker mocker-bench
	$(TARGET)/release/mocker-bench --mocker $(PROGRAM) $(ARGS)

install: ## the program and its shell completions below PREFIX (/usr/local)
	@# Under sudo there is often no cargo: then what `make build` left is taken.
	@if command -v $(CARGO) >/dev/null; then $(MAKE) --no-print-directory build; \
	elif ! [ -x $(KIT) ]; then echo "install: first 'make build', where cargo is" >&2; exit 1; fi
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/mocker
	install -m 755 $(KIT) $(DESTDIR)$(PREFIX)/bin/mocker-conformance
	install -d $(dir $(COMPLETIONS))
	$(PROGRAM) completions bash >$(word 1,$(COMPLETIONS))
	$(PROGRAM) completions zsh >$(word 2,$(COMPLETIONS))
	$(PROGRAM) completions fish >$(word 3,$(COMPLETIONS))

uninstall: ## what `make install` put there; images and containers stay
	rm -f $(DESTDIR)$(PREFIX)/bin/mocker $(DESTDIR)$(PREFIX)/bin/mocker-conformance $(COMPLETIONS)

lint: ## format, clippy and docs, every warning an error
	@scripts/setup.sh build
	@for tool in fmt clippy; do $(CARGO) $$tool --version >/dev/null || { \
		echo "lint: 'rustup component add rustfmt clippy', or the distribution's packages" >&2; exit 1; }; done
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --all-features

ci: ## what continuous integration runs: lint, then test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

clean: ## the build away
	$(CARGO) clean
