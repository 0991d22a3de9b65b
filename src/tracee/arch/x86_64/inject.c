/*
 * inject.c - a frame as of a signal handler, and registers that lead to its function
 *
 * From the thread's stack pointer downwards:
 *
 *     512 bytes       the red zone, and what a repaired call points to (interrupted.c)
 *     struct again    what the interrupted call needs when it is made again
 *     vector state
 *     struct injection: the return address and the ucontext, as rt_sigreturn(2) wants them, and a
 *                     siginfo, whose si_errno says how the kernel would have dealt with the call
 *     struct frame    a second one of those, which leads to the function
 *
 * The thread is sent to the restorer, over the second frame to the function with all signals
 * blocked, and over the first one back. So there is one step, the setting of the registers. Before
 * it nothing but these dead bytes has changed; after it the function runs and returns whether the
 * tool lives or not.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "base/cooperation.h"
#include "tracee/arch/x86_64/internal.h"

#define CLEAR_BELOW_STACK 512
#define EFLAGS_TO_CLEAR   0x50500u /* as for a handler: TF, DF and RF; and AC, lest it faults */

/* Where the thread is to go when the call has been made; and the call's pointers lead to notes. */
struct again {
    uint64_t rdi, rsi, rdx, r10, r8, r9, rip, rsp;
    uint64_t number; /* of the call, for ourselves */
    uint8_t notes[CALL_NOTES_SIZE];
};

struct injection {
    struct frame frame;
    siginfo_t info;
};
_Static_assert(offsetof(struct injection, info) == sizeof(struct frame), "as the kernel's");

/* Addresses in the process. */
struct places {
    uint64_t again, xstate, injection, begin;
};

static struct places find_places(const struct tracee_thread *th)
{
    struct places p;
    uint64_t sp = arch_stack_pointer(&th->regs);

    p.again = (sp - CLEAR_BELOW_STACK - sizeof(struct again)) & ~15ULL;
    p.xstate = (p.again - frame_xstate_size(th)) & ~63ULL;
    /* As at the beginning of any function: 8 bytes off a multiple of 16. */
    p.injection = ((p.xstate - sizeof(struct injection)) & ~15ULL) - 8;
    p.begin = p.injection - sizeof(struct frame);
    return p;
}

/* The code of COOPERATION_RESTORER (base/cooperation.h), which makes a call with the stack pointer
 * at struct again, and then goes on with what stands there. */
static const uint8_t restorer_code[] = {
    0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, /* mov $15,%rax */
    0x0f, 0x05,                               /* syscall */
};
static const uint8_t again_code[] = {
    0x0f, 0x05,                   /* syscall */
    0x48, 0x8b, 0x3c, 0x24,       /* mov (%rsp),%rdi */
    0x48, 0x8b, 0x74, 0x24, 0x08, /* mov 8(%rsp),%rsi */
    0x48, 0x8b, 0x54, 0x24, 0x10, /* mov 16(%rsp),%rdx */
    0x4c, 0x8b, 0x54, 0x24, 0x18, /* mov 24(%rsp),%r10 */
    0x4c, 0x8b, 0x44, 0x24, 0x20, /* mov 32(%rsp),%r8 */
    0x4c, 0x8b, 0x4c, 0x24, 0x28, /* mov 40(%rsp),%r9 */
    0x48, 0x8b, 0x4c, 0x24, 0x30, /* mov 48(%rsp),%rcx */
    0x48, 0x8b, 0x64, 0x24, 0x38, /* mov 56(%rsp),%rsp */
    0xff, 0xe1,                   /* jmp *%rcx */
};

static bool has_again(struct tracee_thread *th, uint64_t restorer)
{
    uint8_t code[COOPERATION_AGAIN_OFFSET + sizeof(again_code)];

    return tracee_read(th->owner, restorer, code, sizeof(code), NULL) == 0 &&
           memcmp(code, restorer_code, sizeof(restorer_code)) == 0 &&
           memcmp(code + COOPERATION_AGAIN_OFFSET, again_code, sizeof(again_code)) == 0;
}

long inject_call_number(const struct tracee_thread *th, const struct user_regs_struct *u)
{
    uint8_t code[sizeof(again_code)];
    struct again again;

    if (tracee_read(th->owner, u->rip - 2, code, sizeof(code), NULL) < 0 ||
        memcmp(code, again_code, sizeof(code)) != 0 ||
        tracee_read(th->owner, u->rsp, &again, sizeof(again), NULL) < 0 || again.number > INT32_MAX)
        return -1;
    return (long)again.number;
}

/* The registers to go back to. A call with other arguments is made by that code, where there is
 * some: the arguments would show in the registers afterwards, and notes below the stack pointer
 * don't outlive the handler of a signal that comes before the call. */
static void lead_back(struct tracee_thread *th, const struct places *p, uint64_t restorer,
                      struct user_regs_struct *back, struct again *again)
{
    const struct user_regs_struct *u = &th->image.user;

    if (!interrupted_again(th, back, p->again + offsetof(struct again, notes), again->notes) ||
        !has_again(th, restorer))
        return;
    again->rdi = u->rdi;
    again->rsi = u->rsi;
    again->rdx = u->rdx;
    again->r10 = u->r10;
    again->r8 = u->r8;
    again->r9 = u->r9;
    again->number = u->orig_rax;
    again->rip = u->rip;
    again->rsp = u->rsp;
    back->rip = restorer + COOPERATION_AGAIN_OFFSET;
    back->rsp = p->again;
}

size_t arch_injection_size(struct tracee_thread *th, struct crs_error *err)
{
    if (frame_read_xstate(th, err) < 0)
        return 0;
    return arch_stack_pointer(&th->regs) - find_places(th).begin;
}

/* The kernel's own number for the call that was interrupted (ERESTARTSYS, ...); 0: none was. */
static int restart_number(const struct tracee_thread *th)
{
    const struct user_regs_struct *u = &th->image.user;

    return (int64_t)u->orig_rax >= 0 && is_restart(u->rax) ? (int)-(int64_t)u->rax : 0;
}

/* The frame that leads to the function: without a vector state, so that it has a new one. */
static void begin_function(const struct tracee_thread *th, const struct places *p,
                           uint64_t function, uint64_t arg, struct frame *f)
{
    struct user_regs_struct u = th->regs.user;

    u.rip = function;
    u.rsp = p->injection;
    u.rdi = arg;
    u.rsi = p->injection + offsetof(struct injection, info);
    u.rdx = p->injection + offsetof(struct frame, uc_flags);
    u.rax = 0;
    u.eflags &= ~(unsigned long long)EFLAGS_TO_CLEAR;
    frame_fill_registers(&u, f);
    f->uc_stack.ss_flags = FRAME_MARK_INJECTED;
    f->uc_sigmask = ~0ULL;
}

static int write_frames(struct tracee_thread *th, const struct places *p, uint64_t function,
                        uint64_t restorer, uint64_t arg, struct crs_error *err)
{
    size_t size = p->again + sizeof(struct again) - p->begin;
    _cleanup_free_ uint8_t *area = calloc(1, size);
    struct user_regs_struct back;

    if (!area)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    struct injection *injection = (struct injection *)(area + (p->injection - p->begin));
    struct again *again = (struct again *)(area + (p->again - p->begin));
    size_t xstate_offset = p->xstate - p->begin;
    lead_back(th, p, restorer, &back, again);
    int r = frame_fill(th, &back, &injection->frame, area + xstate_offset, p->again - p->xstate,
                       p->xstate, err);
    if (r < 0)
        return r;
    injection->frame.return_address = restorer;
    injection->frame.uc_stack.ss_flags = FRAME_MARK_INJECTED;
    injection->info.si_errno = restart_number(th);
    begin_function(th, p, function, arg, (struct frame *)area);
    return tracee_write(th->owner, p->begin, area, size, err);
}

int arch_inject(struct tracee_thread *th, uint64_t function, uint64_t restorer, uint64_t arg,
                struct crs_error *err)
{
    struct arch_regs regs = th->regs;
    uint64_t all = ~0ULL;
    int r = frame_read_xstate(th, err);

    if (r < 0)
        return r;
    const struct places p = find_places(th);
    r = write_frames(th, &p, function, restorer, arg, err);
    if (r < 0)
        return r;
    regs.user.rip = restorer;
    regs.user.rsp = p.begin + sizeof(uint64_t); /* as after a function's return */
    regs.user.orig_rax = -1;
    r = arch_set_regs(th->tid, &regs, err);
    if (r < 0)
        return r;
    th->regs = th->image = regs;
    th->repaired = th->has_remaining = false;
    /* Nor is a signal handled on the way to the function: it would be over before the call is made
     * again. Should the tool die before this, only that is lost. */
    if (ptrace(PTRACE_SETSIGMASK, th->tid, sizeof(all), &all) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't block the signals of thread %d", th->tid);
    th->sigmask = all;
    return 0;
}
