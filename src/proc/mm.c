/* mm.c - where the parts of an address space lie, from /proc/PID/stat */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm.h"

/* The numbers of the fields, as proc(5) counts them. */
enum {
    FIELD_STATE = 3,
    FIELD_START_CODE = 26,
    FIELD_END_CODE,
    FIELD_START_STACK,
    FIELD_START_DATA = 45,
    FIELD_END_DATA,
    FIELD_START_BRK,
    FIELD_ARG_START,
    FIELD_ARG_END,
    FIELD_ENV_START,
    FIELD_ENV_END,
};

int proc_mm_parse(const char *text, struct proc_mm *ret)
{
    uint64_t fields[FIELD_ENV_END + 1] = {0};
    const char *p = strrchr(text, ')'); /* the command may hold anything, spaces too */

    if (!p || p[1] != ' ' || !p[2])
        return -EINVAL;
    p += 3;
    for (int i = FIELD_STATE + 1; i <= FIELD_ENV_END; i++) {
        char *end;
        fields[i] = strtoull(p, &end, 10);
        if (end == p)
            return -EINVAL;
        p = end;
    }
    *ret = (struct proc_mm){
        .start_code = fields[FIELD_START_CODE],
        .end_code = fields[FIELD_END_CODE],
        .start_data = fields[FIELD_START_DATA],
        .end_data = fields[FIELD_END_DATA],
        .start_brk = fields[FIELD_START_BRK],
        .start_stack = fields[FIELD_START_STACK],
        .arg_start = fields[FIELD_ARG_START],
        .arg_end = fields[FIELD_ARG_END],
        .env_start = fields[FIELD_ENV_START],
        .env_end = fields[FIELD_ENV_END],
    };
    return 0;
}
