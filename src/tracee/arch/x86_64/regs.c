/* regs.c - the registers of a thread */
#include <elf.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "tracee/tracee.h"

/* Larger than the XSAVE area of any processor so far (AMX: 11 KiB). */
#define XSTATE_MAX_SIZE (64 << 10)

const char arch_name[] = "x86_64";

int arch_get_regs(pid_t tid, struct arch_regs *ret, struct crs_error *err)
{
    struct iovec iov = {&ret->user, sizeof(ret->user)};

    if (ptrace(PTRACE_GETREGSET, tid, (void *)(long)NT_PRSTATUS, &iov) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the registers of thread %d", tid);
    if (iov.iov_len != sizeof(ret->user))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOEXEC,
                        "thread %d runs 32-bit code, which can't be saved", tid);
    if (ret->user.cs != 0x33)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOEXEC,
                        "thread %d runs 32-bit code (cs %#llx), which can't be saved", tid,
                        ret->user.cs);
    return 0;
}

int arch_set_regs(pid_t tid, const struct arch_regs *regs, struct crs_error *err)
{
    struct iovec iov = {(void *)&regs->user, sizeof(regs->user)};

    if (ptrace(PTRACE_SETREGSET, tid, (void *)(long)NT_PRSTATUS, &iov) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't set the registers of thread %d", tid);
    return 0;
}

static int get_xstate(pid_t tid, bool whole, struct bytes *ret, struct crs_error *err)
{
    _cleanup_free_ uint8_t *area = malloc(XSTATE_MAX_SIZE); /* a stack may be as small as that */
    struct iovec iov = {area, XSTATE_MAX_SIZE};

    if (!area)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (ptrace(PTRACE_GETREGSET, tid, (void *)(long)NT_X86_XSTATE, &iov) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the vector registers of thread %d", tid);
    const struct bytes all = {area, iov.iov_len};
    return bytes_copy(ret, area, whole ? all.size : arch_xstate_used_size(&all)) < 0
               ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory")
               : 0;
}

int arch_get_xstate(pid_t tid, struct bytes *ret, struct crs_error *err)
{
    return get_xstate(tid, false, ret, err);
}

int arch_get_xstate_area(pid_t tid, struct bytes *ret, struct crs_error *err)
{
    return get_xstate(tid, true, ret, err);
}

int arch_set_xstate_area(pid_t tid, const struct bytes *xstate, struct crs_error *err)
{
    struct iovec iov = {xstate->data, xstate->size};

    if (ptrace(PTRACE_SETREGSET, tid, (void *)(long)NT_X86_XSTATE, &iov) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't set the vector registers of thread %d (%zu bytes)", tid,
                              xstate->size);
    return 0;
}

uint64_t arch_stack_pointer(const struct arch_regs *regs)
{
    return regs->user.rsp;
}

uint64_t arch_program_counter(const struct arch_regs *regs)
{
    return regs->user.rip;
}

void arch_set_program_counter(struct arch_regs *regs, uint64_t address)
{
    if (regs->user.rip == address)
        return;
    regs->user.rip = address;
    regs->user.orig_rax = -1;
}

uint64_t arch_thread_pointer(const struct arch_regs *regs)
{
    return regs->user.fs_base;
}
