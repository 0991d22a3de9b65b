/* calls.c - remote system calls: the forms that the rest of the tool uses */
#include <stdlib.h>
#include <string.h>

#include "tracee/rehearsal.h"

int tracee_prepare_calls(struct tracee *t, struct crs_error *err)
{
    if (t->calls && t->scratch)
        return 0;
    if (t->memory_of && !t->stub) {
        int r = tracee_prepare_calls(t->memory_of, err);
        return r < 0 ? r : arch_calls_borrow(t, t->memory_of, err);
    }
    return t->stub ? arch_calls_prepare_stub(t, err) : arch_calls_prepare_live(t, err);
}

int tracee_calls(struct tracee_thread *th, struct remote_call *calls, size_t n,
                 struct crs_error *err)
{
    return tracee_calls_with(th, calls, n, NULL, err);
}

int tracee_calls_with(struct tracee_thread *th, struct remote_call *calls, size_t n,
                      const struct tracee_part *block, struct crs_error *err)
{
    int r = tracee_prepare_calls(th->owner, err);

    for (size_t i = 0; r == 0 && i < n && th->owner->rehearsal; i++)
        r = rehearsal_try(th->owner, &calls[i], err);
    if (r < 0)
        return r;
    r = arch_calls_run(th, calls, n, block, err);
    return r < 0 ? crs_fail_at(err, r, "thread %d", th->tid) : 0;
}

int tracee_call(struct tracee_thread *th, int64_t *ret, struct crs_error *err, long number,
                const uint64_t args[6])
{
    struct remote_call call = {.number = number};

    memcpy(call.args, args, sizeof(call.args));
    int r = tracee_calls(th, &call, 1, err);
    if (r == 0 && ret)
        *ret = call.result;
    return r;
}

int tracee_call_checked(struct tracee_thread *th, int64_t *ret, struct crs_error *err,
                        enum crs_kind kind, const char *what, long number, const uint64_t args[6])
{
    int64_t result = 0;
    int r = tracee_call(th, &result, err, number, args);

    if (r < 0)
        return r;
    if (result < 0 && result >= -4095)
        return crs_fail(err, kind, -result, "can't %s in process %d: %s", what, th->owner->pid,
                        strerror(-result));
    if (ret)
        *ret = result;
    return 0;
}

int tracee_call_with_block(struct tracee_thread *th, int64_t *ret, struct crs_error *err,
                           long number, const uint64_t args[6], int pointer_arg, const void *in,
                           void *out, size_t size)
{
    struct tracee *t = th->owner;
    struct remote_call call = {.number = number};
    int r = tracee_prepare_calls(t, err);

    if (r < 0)
        return r;
    if (size > TRACEE_SCRATCH_SIZE)
        return crs_fail(err, CRS_FAILED, E2BIG, "a remote call with a block of %zu bytes", size);
    memcpy(call.args, args, sizeof(call.args));
    call.args[pointer_arg] = t->scratch;
    if (in) {
        r = tracee_write(t, t->scratch, in, size, err);
        if (r < 0)
            return r;
    }
    r = tracee_calls(th, &call, 1, err);
    if (r < 0)
        return r;
    if (out && call.result >= 0) {
        r = tracee_read(t, t->scratch, out, size, err);
        if (r < 0)
            return r;
    }
    *ret = call.result;
    return 0;
}
