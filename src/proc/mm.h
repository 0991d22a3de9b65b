/*
 * mm.h - where the parts of an address space lie, from /proc/PID/stat
 */
#ifndef PROC_MM_H
#define PROC_MM_H

#include <stdint.h>

struct proc_mm {
    uint64_t start_code, end_code, start_data, end_data, start_brk, start_stack;
    uint64_t arg_start, arg_end, env_start, env_end;
};

/* The text of /proc/PID/stat. 0, or -EINVAL. The fields are 0 (or 1) for those who may not see
 * them. */
int proc_mm_parse(const char *text, struct proc_mm *ret);

#endif
