# make -j4 that compiles a program of eight files again and again; what comes out is run.
# needs: make gcc sh
# run: make -s -j4 -f {src}
# progress: 3
# until: finish
# cycles: 2
# situations: -new
#     (make waits for its compilers by their PIDs)
# answer: each build made a program that counts right
parts := 1 2 3 4 5 6 7 8
objects := $(parts:%=build/part%.o)
self := $(firstword $(MAKEFILE_LIST))

all:
	+until [ -e finish ]; do \
	    rm -rf build && mkdir build && $(MAKE) -s -f $(self) build/program || exit 1; \
	    [ "$$(build/program)" = 36 ] || exit 1; \
	    echo built; \
	done
	echo each build made a program that counts right

build/part%.c:
	{ echo '#include <stdio.h>'; echo '#include <stdlib.h>'; \
	  for n in $$(seq 60); do \
	      echo "static int step$$n(int x) { return x * $$n + (int)strtol(\"$$n\", NULL, 10); }"; \
	  done; \
	  echo "int part$*(void) { int x = step1(3) + step60(2); return x ? $* : 0; }"; } >$@

build/part%.o: build/part%.c
	gcc -O2 -w -c -o $@ $<
	echo compiled $*

build/main.c:
	{ echo '#include <stdio.h>'; for n in $(parts); do echo "int part$$n(void);"; done; \
	  echo 'int main(void) { return printf("%d", 0'; \
	  for n in $(parts); do echo "+ part$$n()"; done; echo ') < 0; }'; } >$@

build/program: build/main.c $(objects)
	gcc -O2 -o $@ $^

.SECONDARY:
.PHONY: all
