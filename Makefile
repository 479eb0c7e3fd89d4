# What a stranger types: `make run` to see it work, `make test` to see that it does. Both set up what they need.
# CARGO_TARGET_DIR is respected.

SHELL := /bin/bash
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export PATH := $(HOME)/.cargo/bin:$(PATH)
export CARGO_TARGET_DIR := $(TARGET)

.PHONY: help run build test plugins release install deb book package-test package-boot interop bench torture fuzz audit lint clean

help:
	@echo 'make run       build everything, start on 127.0.0.1:2525 with a small ready configuration'
	@echo 'make test      the whole test suite: crates, plugins, and the server from end to end'
	@echo 'make plugins   the bundled plugins, into $(TARGET)/plugins/NAME.wasm'
	@echo 'make release   an optimised server, $(TARGET)/release/waxwing'
	@echo 'make install   puts target/release/waxwing, its pages and its units under DESTDIR and PREFIX (/usr/local)'
	@echo 'make deb       a Debian package of it, $(TARGET)/waxwing.deb'
	@echo 'make package-test, package-boot   the package in a clean root, and its unit under a systemd in a container; as root'
	@echo 'make book      the documentation as a book, $(TARGET)/book/index.html'
	@echo 'make interop   the tests against other people's servers, clients and proxies'
	@echo 'make bench     Waxwing, Postfix, Exim and Haraka on the same work: tables and plots in docs/benchmarks'
	@echo 'make torture   rounds of faults, half an hour of soak, ten thousand writers; TORTURE_ROUNDS (200), TORTURE_SEED'
	@echo 'make fuzz      each fuzz target for FUZZ_SECONDS (60)'
	@echo 'make audit     licences, sources and known holes of the dependencies'
	@echo 'make lint      formatting and clippy, of the server and of the plugins'

# The whole workspace at once, and the examples with it: cargo then takes in what the tests need of shared crates, and `run`, `test` and
# `interop` have one build of what is heavy. Without the examples, wasmtime, Cranelift and ring would be compiled again for the tests.
build:
	@tests/setup build
	cargo build --workspace --bins --examples

run: build plugins
	@server/quickstart/run "$(TARGET)"

test: build plugins
	@tests/setup test
	cargo test --workspace
	plugins/test

plugins:
	@tests/setup build
	plugins/build

release:
	@tests/setup build
	cargo build --release --package waxwing

install:
	@packaging/install "$(TARGET)/release/waxwing" "$(TARGET)/plugins"

deb: release
	@packaging/deb "$(TARGET)" "$(TARGET)/release/waxwing"

# In a clean root that debootstrap makes; as root.
package-test: build
	@packaging/test "$(TARGET)"

# The unit for real, under a systemd that is booted in a container; as root.
package-boot: build plugins
	@packaging/boot "$(TARGET)"

book:
	@docs/build "$(TARGET)"

interop: build plugins
	@tests/setup test interop
	plugins/build --all
	plugins/go/test
	cargo test --package dns --test signed_zones -- --ignored
	cargo test --workspace --test waxwing -- --ignored interop::

# PARTS="accept relay" measures these alone; see tests/bench/run.
bench:
	@tests/setup build bench
	cargo build --release --package waxwing --package store --bin waxwing --example fill
	plugins/build --all || echo 'some plugins were not built; their figures are left out'
	tests/bench/run "$(TARGET)" $(PARTS)

# About an hour; as root, so that the server can have a disk of its own whose power is cut.
torture: build plugins
	@tests/setup test torture
	PROPTEST_CASES=2000 cargo test --package store --lib power
	TORTURE_SESSIONS=5000 TORTURE_CASES=100000 cargo test --package tests --test waxwing -- torture::conversations torture::differential --nocapture
	cargo test --package tests --test waxwing -- --ignored torture:: --nocapture --test-threads 1
	@cat "$(TARGET)/torture/rounds.md"
	@tests/torture/soak.py "$(TARGET)/torture/soak.csv" "$(TARGET)/torture/soak.svg"

# With a nightly tool chain, which is installed when there is none.
fuzz:
	@tests/setup build
	@tests/fuzz/run "$(TARGET)"

# cargo-deny is installed when there is none, which takes some minutes.
audit:
	@tests/setup build
	@tests/audit

lint:
	@tests/setup build
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	cd plugins && cargo fmt --all --check
	cd plugins && cargo clippy --locked --workspace --all-targets --target "$$(rustc -vV | sed -n 's/^host: //p')" \
		--target-dir "$(TARGET)/plugin-test" -- -D warnings

clean:
	cargo clean
