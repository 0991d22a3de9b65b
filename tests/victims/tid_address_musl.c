/*
 * tid_address_musl.c - the same with musl, which keeps the IDs of its threads elsewhere
 * compiler: musl-gcc
 * link: -static -pthread
 */
#include "tid_address.c"
