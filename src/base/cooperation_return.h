/*
 * cooperation_return.h - at the end of a function that the tool has made a thread run
 *
 * Signals that come while it runs are blocked, and are handled when the thread is back where it
 * was. A system call that it was in is then made again: as if the signals had come before the call,
 * so that pause(2) would wait for one that is over. Had they come in the call, it would have ended
 * with EINTR. So the function calls cooperation_return() last of all: where a handler is about to
 * run that would have ended the call, the call ends with EINTR.
 *
 * Async-signal-safe. To be called with all signals blocked.
 */
#ifndef BASE_COOPERATION_RETURN_H
#define BASE_COOPERATION_RETURN_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* How the kernel deals with a call when a signal comes: siginfo_t.si_errno; 0: there's no call. */
enum cooperation_restart_rule {
    COOPERATION_RESTART_IF_ASKED = 512, /* again, if SA_RESTART was asked for, else EINTR */
    COOPERATION_RESTART_ALWAYS = 513,
    COOPERATION_RESTART_NEVER = 514, /* EINTR; again only where no handler runs */
    COOPERATION_RESTART_BLOCK = 516, /* likewise */
};

/* Would a handler of `signal` end a call of that rule? -1: none runs. */
static inline int cooperation_ends_call(int signal, int rule)
{
    struct { /* the kernel's own, whose mask has 64 bits */
        uint64_t handler, flags, restorer, mask;
    } action;

    if (syscall(SYS_rt_sigaction, signal, NULL, &action, sizeof(action.mask)) < 0 ||
        action.handler == (uint64_t)(uintptr_t)SIG_DFL ||
        action.handler == (uint64_t)(uintptr_t)SIG_IGN)
        return -1;
    return rule == COOPERATION_RESTART_IF_ASKED ? !(action.flags & SA_RESTART)
                                                : rule != COOPERATION_RESTART_ALWAYS;
}

static inline void cooperation_return(const siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint64_t pending = 0, blocked;
    int saved = errno;

    memcpy(&blocked, &uc->uc_sigmask, sizeof(blocked));
    if (info->si_errno != 0)
        syscall(SYS_rt_sigpending, &pending, sizeof(pending));
    pending &= ~blocked;
    /* The first that is handled decides, as in the kernel. */
    for (int signal = 1, ends = -1; signal <= 64 && ends < 0 && pending != 0; signal++) {
        if (!(pending >> (signal - 1) & 1))
            continue;
        ends = cooperation_ends_call(signal, info->si_errno);
        if (ends == 1) {
            uc->uc_mcontext.gregs[REG_RAX] = -EINTR;
            uc->uc_mcontext.gregs[REG_RIP] += 2; /* past the instruction that makes the call */
        }
    }
    errno = saved;
}

#endif
