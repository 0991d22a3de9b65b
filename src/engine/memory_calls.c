/* memory_calls.c - remote calls that are gathered and run together */
#include <string.h>
#include <sys/syscall.h>

#include "memory_restore.h"

void memory_calls_add(struct memory_calls *c, const char *what, long number, uint64_t a0,
                      uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct remote_call *call = ARRAY_ADD(&c->calls);
    const char **words = call ? ARRAY_ADD(&c->what) : NULL;

    if (!words) {
        c->result = -ENOMEM;
        return;
    }
    *call = (struct remote_call){.number = number, .args = {a0, a1, a2, a3, a4, a5}};
    *words = what;
}

static int check_call(struct memory_calls *c, size_t i, struct crs_error *err)
{
    const struct remote_call *call = &c->calls.items[i];
    const char *what = c->what.items[i];
    unsigned long long address = call->args[0], size = call->args[1];

    if (call->number == SYS_shmat) { /* its size is not said in the call */
        address = call->args[1];
        size = 0;
    }
    if ((call->number == SYS_mmap || call->number == SYS_shmat) && call->result >= 0 &&
        (uint64_t)call->result != address)
        return crs_fail(err, CRS_CANT_RESTART, EEXIST, "can't %s at %#llx: it went to %#llx", what,
                        address, (unsigned long long)call->result);
    if (call->result >= 0)
        return 0;
    if (what[0] == '?') {
        kobj_warn(c->ctx->progress, c->ctx->progress_arg, "can't %s at %#llx (%llu KiB): %s",
                  what + 1, address, size >> 10, strerror(-call->result));
        return 0;
    }
    return crs_fail(err, CRS_CANT_RESTART, -call->result, "can't %s at %#llx (%llu KiB): %s", what,
                    address, size >> 10, strerror(-call->result));
}

int memory_calls_run(struct memory_calls *c, struct crs_error *err)
{
    int r = c->result;

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "no memory for a list of calls");
    if (c->calls.n)
        r = tracee_calls(tracee_main(c->ctx->t), c->calls.items, c->calls.n, err);
    for (size_t i = 0; r == 0 && i < c->calls.n; i++)
        r = check_call(c, i, err);
    c->calls.n = c->what.n = 0;
    return r;
}

void memory_calls_clear(struct memory_calls *c)
{
    free(c->calls.items);
    free(c->what.items);
    *c = (struct memory_calls){0};
}
