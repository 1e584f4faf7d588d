# SPDX-License-Identifier: GPL-3.0-or-later
#
#   make            build everything          make setup      install and fetch what is needed (root)
#   make demo       the main job, shown       make check      all tests (root)
#   make check-quick     in two minutes: unit, bpf, and some of every kind of network test (root)
#   make fuzz       a million mutated inputs for each reader of strangers' bytes
#   make sim        years of the agent's life in simulated time: 10,000 seeds; SEEDS=n,
#                   SEED=n (again, with the log), SCENARIO=name
#   make lint       style and static checks   make format     clang-format in place
#   make check-rows      the tests of tests/rows.txt, many times: ROWS=S N=50; make rows lists them
#   make check-networks  many connections over bad networks: N=10 seeds
#   make repeat          TEST=tests/net/... N=50
#   make check-kernels   other kernels, in emulated machines (root); check-kernels-long: more
#                        clients
#   make bench           beside what people would use instead; bench-quick: in some minutes (root)
#   make bench-agent     many certificates: beside lego and uacme, and a million in store (root)
#   make bench-steering  what steering costs, rule by rule and for production (root)
#   make man        manual pages               make install    PREFIX=/usr DESTDIR=
#   make clean
#
# Settings: O=build  V=1  SAN=1 (ASan and UBSan, in build-san)  WERROR=1
#           WOLFSSL_PREFIX=dir (a static wolfSSL >= 5.9.2 of one's own)

SAN ?=
O ?= $(if $(SAN),build-san,build)
ifeq ($(origin CC),default)
CC = gcc
endif
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
CACHE ?= /var/cache/sidestep
WOLFSSL_PREFIX ?= $(CACHE)/wolfssl
PEERS = build/peers
KERNELS = build/kernels

ifneq ($(V),1)
Q = @
say = @printf '  %-8s%s\n' '$(1)' '$(2)'
endif

comma = ,
CFLAGS ?= -O2 -g
SAN_FLAGS = $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
# wolfSSL's headers include its options.h themselves.
WOLFSSL_CFLAGS = -isystem $(WOLFSSL_PREFIX)/include -DWOLFSSL_USE_OPTIONS_H
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wvla -Wpointer-arith \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	$(if $(WERROR),-Werror) -fstack-protector-strong -I. -I$(O) \
	$(WOLFSSL_CFLAGS) $(SAN_FLAGS) $(CFLAGS)
ALL_LDFLAGS = $(SAN_FLAGS) $(LDFLAGS)
BPF_CFLAGS = -target bpf -mcpu=v2 -O2 -g -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror) \
	-I. -isystem /usr/include/$(shell uname -m)-linux-gnu

pkg_libs = $(shell pkg-config --libs $(1) 2>/dev/null)
WOLFSSL_LIBS = $(WOLFSSL_PREFIX)/lib/libwolfssl.a -lm -lpthread
COMMON_LIBS = $(call pkg_libs,libbpf) $(WOLFSSL_LIBS)
# --wrap: responder/tls_key_share.c. The object: deploy/setup/build-wolfssl.sh.
RESPONDER_LIBS = -Wl,--wrap=wc_curve25519_make_key,-u,__wrap_wc_curve25519_make_key $(call pkg_libs,liburing libseccomp) \
	$(wildcard $(WOLFSSL_PREFIX)/lib/p256_open_tables.o) $(COMMON_LIBS)
ACME_LIBS = $(call pkg_libs,libcurl jansson sqlite3 libcares libidn2 libpsl libssl libcrypto) $(COMMON_LIBS)
BENCH_LIBS = $(call pkg_libs,libssl libcrypto jansson) -lm -lpthread

# One archive a folder; a program is its main.o and the archives below it, and a unit test is linked
# with its own folder's archive and those below: deploy/setup/layers has the order.
LAYERS = deploy/setup/layers
objects = $(patsubst %.c,$(O)/%.o,$(filter-out %/main.c %.bpf.c,$(wildcard $(1)/*.c)))
archive = $(O)/lib$(subst /,_,$(1)).a
$(foreach line,$(shell awk -v mode=below -f $(LAYERS).awk $(LAYERS)),$(eval $(line)))
FOLDERS = $(foreach folder,$(subst $(comma), ,$(below_acme)) responder bench/validators, \
	$(if $(call objects,$(folder)),$(folder)))
below = $(foreach folder,$(filter $(FOLDERS),$(subst $(comma), ,$(below_$(1)))),$(call archive,$(folder)))
# What the folders of tests/unit are called otherwise.
below_bpf := $(below_common)
below_bench := $(below_bench/validators)
PROGRAMS = $(O)/sidestep-responder $(O)/sidestep $(O)/sidestep-bench
UNIT_TESTS = $(patsubst %.c,$(O)/%,$(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))
unit_helpers = $(filter-out $(O)/tests/unit/$(1)/test_%,$(call objects,tests/unit/$(1)))
BPF_TESTS = $(patsubst tests/bpf/%.c,$(O)/tests/bpf/%,$(wildcard tests/bpf/test_*.c))
NET_PROGRAMS = $(O)/tests/lab/other_bpf.bpf.o $(O)/tests/lab/fault_shim.so $(O)/tests/lab/monitor_shim.so \
	$(O)/tests/lab/forwarder
TEST_PROGRAMS = $(O)/tests/lab/forwarder $(addprefix $(O)/tests/kernels/,verify visit)
BENCH_PROGRAMS = $(addprefix $(O)/bench/,answerable arm classifier floor strangers tcp_floor)
SKELETON = $(O)/bpf/steer.skel.h $(O)/bpf/steer_repair.skel.h

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all man setup fuzz demo check check-quick check-unit check-bpf check-net check-kernels \
	check-kernels-long bench-steering bench bench-quick bench-agent lint format install clean \
	rows check-rows check-networks repeat sim

all: $(PROGRAMS)

# --- set-up -----------------------------------------------------------------

setup:
	$(Q)deploy/setup/setup.sh $(WOLFSSL_PREFIX) $(PEERS)
	$(Q)mkdir -p $(O) && touch $(O)/setup.stamp

# These goals set up first: make makes what it includes, and then reads this file again.
ifneq ($(filter check check-quick check-net check-kernels% fuzz demo bench%,$(MAKECMDGOALS)),)
include $(O)/setup.stamp
endif
$(O)/setup.stamp: $(addprefix deploy/setup/,setup.sh build-wolfssl.sh fetch-peers.sh suite-apt.sh)
	$(Q)$(MAKE) --no-print-directory setup

$(WOLFSSL_PREFIX)/lib/libwolfssl.a:
	@echo "there is no static wolfSSL in $(WOLFSSL_PREFIX): run 'make setup' as root," \
		"or name your own with WOLFSSL_PREFIX=" >&2; exit 1

# --- programs ---------------------------------------------------------------

$(O)/sidestep-responder: $(O)/responder/main.o $(call below,responder)
$(O)/sidestep-responder: LIBS = $(RESPONDER_LIBS)
$(O)/sidestep: $(O)/acme/main.o $(call below,acme)
$(O)/sidestep: LIBS = $(ACME_LIBS)
$(O)/sidestep-bench: $(O)/bench/validators/main.o $(call below,bench/validators)
$(O)/sidestep-bench: LIBS = $(BENCH_LIBS)

# Every program: of its objects, the archives that its rule names, in their order, and LIBS.
$(PROGRAMS) $(UNIT_TESTS) $(BPF_TESTS) $(TEST_PROGRAMS) $(BENCH_PROGRAMS):
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

# A judge of what wolfSSL answers does not come near it.
$(O)/common/validator/%.o $(O)/bench/validators/%.o $(O)/acme/challenge/probe.o: WOLFSSL_CFLAGS =

$(O)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(foreach folder,$(FOLDERS),$(eval $(call archive,$(folder)): $(call objects,$(folder))))

$(O)/%.o: %.c $(WOLFSSL_PREFIX)/lib/libwolfssl.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

# The same rules, for kernels without bpf_sk_assign_tcp_reqsk().
$(O)/bpf/steer_repair.bpf.o: bpf/steer.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -DSTEER_BY_REPAIR -MMD -MP -c -o $@ $<

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf >$@

$(O)/responder/programs.o: $(SKELETON)

# --- tests ------------------------------------------------------------------

# Each with the helpers and the archive of its own folder and the archives below, so that a call
# upwards is no symbol.
unit_tests = $(filter $(O)/tests/unit/$(1)/%,$(UNIT_TESTS))
.SECONDEXPANSION:
$(UNIT_TESTS): $(O)/tests/unit/%: $(O)/tests/unit/%.o $(call objects,tests/unit) $(call objects,tests) \
		$$(call unit_helpers,$$(*D)) $$(call below,$$(*D))
$(UNIT_TESTS): LIBS = $(call pkg_libs,cmocka) $(COMMON_LIBS)
$(call unit_tests,responder): LIBS = $(call pkg_libs,cmocka libssl libcrypto) $(RESPONDER_LIBS)
$(call unit_tests,acme): LIBS = $(call pkg_libs,cmocka) $(ACME_LIBS)
$(call unit_tests,bench): LIBS = $(call pkg_libs,cmocka) $(BENCH_LIBS) $(COMMON_LIBS)
$(BPF_TESTS): %: %.o $(call objects,tests) $(call below,responder)
$(BPF_TESTS): LIBS = $(call pkg_libs,cmocka) $(RESPONDER_LIBS)
$(BPF_TESTS:=.o): $(SKELETON) $(O)/tests/bpf/client_hello.skel.h

# The agent in years of simulated time: tests/sim/README.md.
SIM = $(O)/tests/sim/sim
SIM_WRAPPED = openat open close closedir write posix_fallocate ftruncate fsync fdatasync mkdirat \
	mkdir symlinkat linkat renameat renameat2 rename unlinkat unlink fchmod fchown flock getpid \
	getrandom isatty getifaddrs freeifaddrs
# In front of the archives, whose objects of the same names are left out then.
$(SIM): $(call objects,tests/sim) $(call objects,tests/sim/scenarios) $(call below,acme)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(addprefix -Wl$(comma)--wrap=,$(SIM_WRAPPED)) -o $@ \
		$(filter %.o,$^) $(filter %.a,$^) $(ACME_LIBS)

check: all man $(UNIT_TESTS) $(BPF_TESTS) $(SIM) $(NET_PROGRAMS)
	$(Q)O=$(O) $(PYTHON) -B tests/run.py unit bpf sim net
check-quick: all man $(UNIT_TESTS) $(BPF_TESTS) $(NET_PROGRAMS)
	$(Q)O=$(O) $(PYTHON) -B tests/run.py --quick unit bpf net
check-unit: $(UNIT_TESTS)
	$(Q)O=$(O) $(PYTHON) -B tests/run.py unit
check-bpf: $(BPF_TESTS)
	$(Q)O=$(O) $(PYTHON) -B tests/run.py bpf
check-net: all man $(NET_PROGRAMS)
	$(Q)O=$(O) $(PYTHON) -B tests/run.py net
sim: $(SIM)
	$(Q)$(SIM) $(if $(SCENARIO),--scenario $(SCENARIO) $(if $(SEAM),--seam $(SEAM)),$(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000)))

# Where a fault shows: with ASan and UBSan.
fuzz:
	$(Q)$(MAKE) --no-print-directory SAN=1 O=build-san build-san/tests/unit/acme/test_fuzz
	$(Q)FUZZ_INPUTS=1000000 build-san/tests/unit/acme/test_fuzz

# What once went wrong, and its tests: a list, and every one of them many times on a loaded machine.
rows:
	$(Q)O=$(O) $(PYTHON) -B tests/rows.py
check-rows: all $(BPF_TESTS) $(UNIT_TESTS) $(NET_PROGRAMS)
	$(Q)O=$(O) $(PYTHON) -B tests/rows.py --repeat $(or $(N),50) $(if $(ROWS),--rows $(ROWS))
# repeat TEST=tests/net/...::test_name N=50
repeat: all $(NET_PROGRAMS)
	$(Q)O=$(abspath $(O)) $(PYTHON) -B -m pytest -q --tb=short --count $(or $(N),10) $(TEST)
# Bad networks, longer, and with another seed each time.
check-networks: all $(NET_PROGRAMS)
	$(Q)O=$(abspath $(O)) SIDESTEP_LONGER=4 $(PYTHON) -B -m pytest -q --tb=short -n 3 \
		--count $(or $(N),10) tests/net/networks

$(O)/tests/lab/forwarder: %: %.o
$(O)/tests/lab/%_shim.so: tests/lab/%_shim.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra $(if $(WERROR),-Werror) -O2 -fPIC -shared -o $@ $<

$(O)/tests/kernels/verify: %: %.o
$(O)/tests/kernels/verify: LIBS = $(call pkg_libs,libbpf)
$(O)/tests/kernels/verify.o: $(SKELETON)

$(O)/tests/kernels/visit: %: %.o
$(O)/tests/kernels/visit: LIBS = $(call pkg_libs,libssl libcrypto) -lpthread
$(O)/tests/kernels/visit.o: WOLFSSL_CFLAGS =

# Settings: SUITES (of Debian's, as "trixie bullseye"; default: all four), SCALE.
check-kernels check-kernels-long: all $(BPF_TESTS) $(O)/tests/kernels/verify $(O)/tests/kernels/visit
	$(Q)deploy/setup/fetch-kernels.sh $(KERNELS)
	$(Q)O=$(O) $(PYTHON) -B tests/kernels/run.py $(KERNELS) $(SUITES)
check-kernels-long: export SCALE ?= 4

# --- measurements -----------------------------------------------------------

STEERING_BENCH = $(O)/bench/classifier $(O)/bench/arm
COMPARISON = $(STEERING_BENCH) $(O)/bench/answerable $(O)/bench/floor $(O)/bench/tcp_floor \
	$(O)/bench/strangers

$(BENCH_PROGRAMS): %: %.o
$(O)/bench/classifier: $(O)/bench/subject.o $(O)/bench/frames.o $(O)/tests/hello_vectors.o
$(O)/bench/classifier: LIBS = $(call pkg_libs,libbpf)
$(O)/bench/arm $(O)/bench/answerable: $(O)/libcommon.a
$(O)/bench/arm $(O)/bench/answerable: LIBS = $(COMMON_LIBS)
$(O)/bench/floor: LIBS = $(wildcard $(WOLFSSL_PREFIX)/lib/p256_open_tables.o) $(WOLFSSL_LIBS)
$(O)/bench/tcp_floor: $(O)/bench/tcp_floor_clients.o $(call below,bench/validators)
$(O)/bench/tcp_floor: LIBS = $(call pkg_libs,liburing) $(BENCH_LIBS)
$(O)/bench/subject.o: $(SKELETON)

bench-steering: all $(STEERING_BENCH)
	$(Q)O=$(O) PYTHONPATH=tests $(PYTHON) -B bench/steering.py
bench bench-quick: all $(COMPARISON)
	$(Q)deploy/setup/setup.sh $(WOLFSSL_PREFIX) $(PEERS) bench
	$(Q)O=$(O) PYTHONPATH=tests $(PYTHON) -B bench/compare.py $(if $(findstring quick,$@),--quick)
bench-agent: all
	$(Q)deploy/setup/setup.sh $(WOLFSSL_PREFIX) $(PEERS) bench
	$(Q)deploy/setup/fetch-peers.sh $(PEERS) bench
	$(Q)mkdir -p $(O)/bench
	$(Q)O=$(O) PYTHONPATH=tests $(PYTHON) -B bench/agent.py

# --- the demonstration ------------------------------------------------------

demo: all
	$(Q)O=$(O) PYTHON=$(PYTHON) deploy/demo/demo.sh

# --- manual pages -----------------------------------------------------------

MAN = $(O)/man/sidestep.1 $(O)/man/sidestep-bench.1 $(O)/man/sidestep-responder.8 \
	$(O)/man/sidestep.conf.5
$(O)/man/sidestep.1: MAN_OF = 1 "certificates by TLS-ALPN-01 beside a production server"
$(O)/man/sidestep-bench.1: MAN_OF = 1 "plays certificate authorities that validate by TLS-ALPN-01"
$(O)/man/sidestep-responder.8: MAN_OF = 8 "answers TLS-ALPN-01 beside a production server"

man: $(MAN)
$(O)/man/%: deploy/man/make.sh deploy/man/%.in $(PROGRAMS)
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)deploy/man/make.sh $(O)/$(basename $(notdir $@)) $(MAN_OF) >$@
$(O)/man/sidestep.conf.5: deploy/man/sidestep.conf.5.in $(O)/sidestep
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)$(O)/sidestep --help-man-conf >$@.settings
	$(Q)sed -e '/^@CERTIFICATE_SETTINGS@$$/{r $@.settings' -e 'd}' $< >$@

# --- upkeep -----------------------------------------------------------------

C_FILES = $(wildcard bpf/*.[ch] common/*.[ch] common/*/*.[ch] responder/*.[ch] acme/*.[ch] acme/*/*.[ch] bench/*.[ch] bench/*/*.[ch] \
	tests/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch] tests/*/*/*/*.[ch])

install: all man
	install -D -m 755 $(O)/sidestep-responder $(DESTDIR)$(PREFIX)/sbin/sidestep-responder
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(O)/sidestep $(O)/sidestep-bench
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/sidestep/hooks deploy/hooks/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/sidestep deploy/sidestep.conf.example
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(filter %.1,$(MAN))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(filter %.5,$(MAN))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(filter %.8,$(MAN))
	install -D -m 644 deploy/completion/sidestep.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sidestep
	install -D -m 644 deploy/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/sidestep.conf
	install -D -m 644 deploy/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/sidestep.conf
	install -D -m 644 deploy/polkit/sidestep.rules \
		$(DESTDIR)/etc/polkit-1/rules.d/60-sidestep.rules
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in deploy/systemd/*.service; do \
		sed 's|@PREFIX@|$(PREFIX)|' $$unit \
			>$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; \
	done

lint:
	$(Q)deploy/setup/lint.sh $(C_FILES)

format:
	$(Q)clang-format -i $(C_FILES)

clean:
	rm -rf $(O)/*.a $(O)/acme $(O)/bench $(O)/bpf $(O)/common $(O)/man $(O)/responder $(O)/tests $(PROGRAMS) $(O)/setup.stamp

-include $(shell find $(O) -path $(PEERS) -prune -o -name '*.d' -type f -print 2>/dev/null)
