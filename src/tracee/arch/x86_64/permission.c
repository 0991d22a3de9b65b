/* permission.c - parts of the vector state that the kernel gives to those who ask (AMX) */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracee/arch/x86_64/internal.h"

#define AREA_SIZE (32u << 10) /* of XSAVE, at least; all zeroes but for its header */
#define BITMAP_AT 512         /* the parts that are in it; in the header */
#define CODE_SIZE 16

/* Since Linux 5.16; not in older headers. */
#define GET_PERMISSION 0x1022 /* ARCH_GET_XCOMP_PERM */
#define ASK_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM */

static int permitted(struct tracee_thread *th, uint64_t *ret, struct crs_error *err)
{
    uint64_t parts = 0;
    int64_t result;
    int r =
        tracee_call_with_block(th, &result, err, SYS_arch_prctl,
                               (const uint64_t[6]){GET_PERMISSION}, 1, NULL, &parts, sizeof(parts));

    if (r == 0)
        *ret = result < 0 ? 0 : parts;
    return r;
}

int arch_xstate_permitted(struct tracee_thread *th, uint64_t *ret, struct crs_error *err)
{
    uint64_t own = 0, parts;

    if (syscall(SYS_arch_prctl, GET_PERMISSION, &own) < 0) { /* everybody has all there is */
        *ret = 0;
        return 0;
    }
    int r = permitted(th, &parts, err);
    if (r == 0)
        *ret = parts & ~own; /* this tool asks for none */
    return r;
}

int arch_xstate_permit(struct tracee_thread *th, uint64_t parts, struct crs_error *err)
{
    uint64_t has;
    int64_t result = 0;
    int r = permitted(th, &has, err);

    for (unsigned i = 0; r == 0 && result == 0 && i < 64; i++)
        if (parts >> i & 1 && !(has >> i & 1))
            r = REMOTE(th, &result, err, SYS_arch_prctl, ASK_PERMISSION, i);
    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result,
                        "the program uses a part of the vector state (AMX's tile registers) that "
                        "can't be had here: %s",
                        strerror(-result));
    return r;
}

/* The parts that are in use in a saved area. */
static uint64_t parts_in_use(const struct bytes *xstate)
{
    uint64_t bitmap = 0;

    if (xstate->size >= BITMAP_AT + sizeof(bitmap))
        memcpy(&bitmap, xstate->data + BITMAP_AT, sizeof(bitmap));
    return bitmap;
}

/* xrstor64 (%rdi); int3 */
static int run_xrstor(struct tracee_thread *th, uint64_t area, uint64_t code, uint64_t parts,
                      struct crs_error *err)
{
    struct arch_regs regs = th->regs;
    int status;

    regs.user.rip = code;
    regs.user.rdi = area;
    regs.user.rax = parts & UINT32_MAX;
    regs.user.rdx = parts >> 32;
    regs.user.orig_rax = -1;
    int r = arch_set_regs(th->tid, &regs, err);
    if (r < 0)
        return r;
    if (ptrace(PTRACE_CONT, th->tid, 0, 0) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't run thread %d", th->tid);
    r = tracee_wait(th->tid, 0, &status);
    if (r < 0 || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || status >> 16)
        return crs_fail(err, CRS_CANT_RESTART, EIO,
                        "thread %d can't use the tile registers (AMX) here (status %#x)", th->tid,
                        r < 0 ? 0 : status);
    return 0;
}

/*
 * The kernel has room for such a part only in threads that have used it: so each that is to get it
 * loads zeroes into it.
 */
int arch_xstate_make_room(struct tracee_thread *th, const struct bytes *xstate, uint64_t parts,
                          struct crs_error *err)
{
    static const uint8_t instructions[CODE_SIZE] = {0x48, 0x0f, 0xae, 0x2f, 0xcc};
    _cleanup_free_ uint8_t *area = calloc(1, AREA_SIZE);
    struct tracee *t = th->owner;

    parts &= parts_in_use(xstate);
    if (!parts)
        return 0;
    if (!area)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (!t->calls || !t->calls->batch_allowed || t->scratch_size < AREA_SIZE + CODE_SIZE)
        return crs_fail(err, CRS_CANT_RESTART, EPERM,
                        "a policy of this system against executable memory is in the way of the "
                        "tile registers (AMX) of thread %d",
                        th->tid);
    uint64_t code = t->scratch + t->scratch_size - CODE_SIZE;
    memcpy(area + BITMAP_AT, &parts, sizeof(parts));
    int r = tracee_write(t, t->scratch, area, AREA_SIZE, err);
    if (r == 0)
        r = tracee_write(t, code, instructions, sizeof(instructions), err);
    return r < 0 ? r : run_xrstor(th, t->scratch, code, parts, err);
}
