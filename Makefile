# The newcomer's door; the build itself is Meson's.
#
#   make demo      see a program checkpointed, killed and brought back
#   make check     all tests (TESTS=OPTIONS of tests/run, JOBS=N at the same time: most of them wait)
#   make check-modes   the victims and real programs in each mode: how memory is copied, coded, shared,
#                  encrypted and brought back
#   make check-kernel  the tests under Debian 12's kernel, in a virtual machine (KERNEL_TESTS=OPTIONS)
#   make           build; ./crs is the command
#   make bench     measure all: tables, plots, targets (BENCH=OPTIONS of bench/run: --quick, ...)
#   make bench-peers  CRIU beside it, in the same run (as root)
#   make install   PREFIX=/usr/local, DESTDIR=
#   make clean
#
# demo, check, check-modes and check-kernel are each enough on a fresh machine: they install what is missing.

BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell n=$$(nproc); echo $$((n > 4 ? 8 : 2 * n)))

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)
	@ln -sfn $(BUILD)/cli/crs crs

$(BUILD)/build.ninja:
	@tools/deps build
	@meson setup --prefix=$(PREFIX) $(BUILD)

demo: all
	@tools/demo

check: all
	@tools/deps check
	@[ $$(id -u) != 0 ] || tools/criu $(BUILD)/criu || echo "without CRIU: its tests are skipped"
	@tests/run --build $(BUILD) -j $(JOBS) $(TESTS)

check-modes: all
	@tools/deps check
	@tests/run --build $(BUILD) --part modes -j $(JOBS) $(TESTS)

check-kernel: all
	@tools/deps kernel
	@tests/kernel/run --build $(BUILD) $(KERNEL_TESTS)

bench: all
	@tools/deps bench || echo "without what is missing: it is said below what is skipped"
	@bench/run --build $(BUILD) $(BENCH)

bench-peers: all
	@tools/deps bench || echo "without what is missing: it is said below what is skipped"
	@[ $$(id -u) != 0 ] || tools/criu $(BUILD)/criu || echo "without CRIU"
	@bench/run --build $(BUILD) --peers $(BENCH)

install: $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall:
	@ninja -C $(BUILD) uninstall

clean:
	@rm -rf $(BUILD) crs

.PHONY: all demo check check-modes check-kernel bench bench-peers install uninstall clean
