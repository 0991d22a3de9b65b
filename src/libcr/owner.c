/*
 * owner.c - does the tool still live that has begun a request?
 *
 * Asked without a descriptor: the process may be saved at any moment, and would have it in its
 * snapshot. kill(2) alone takes a process for living that has ended and that nobody waits for.
 */
#include <errno.h>
#include <signal.h>
#include <sys/uio.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

/* Reading the memory of a process that has none any more is ESRCH to everybody, before it is
 * asked who may; of one that lives it is an error as well, because nothing is at that address. */
bool cri_process_lives(pid_t pid)
{
    int saved = errno;
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)8, 1};
    bool gone = (kill(pid, 0) != 0 && errno == ESRCH) ||
                (process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 && errno == ESRCH);

    errno = saved;
    return !gone;
}

static bool owner_lives(struct cri_patience *patience)
{
    int owner = __atomic_load_n(&cri_block.owner, __ATOMIC_SEQ_CST);

    return owner > 0 ? cri_process_lives(owner) : ++patience->n_looks < CRI_LOOKS_UNSEEN;
}

/* Time is counted in waits, not by a clock: while the process is held (or saved, and restarted a
 * year later) a clock goes on. */
bool cri_wait(uint32_t *word, uint32_t value, struct cri_patience *patience)
{
    return cri_futex_wait(word, value, CRI_LOOK_MS) != -ETIMEDOUT || cri_load(word) != value ||
           owner_lives(patience);
}

void cri_give_up(void)
{
    if (cri_load(&cri_block.outcome) == COOPERATION_NONE) {
        __atomic_store_n(&cri_block.code, ECANCELED, __ATOMIC_SEQ_CST);
        cri_change(&cri_block.outcome, COOPERATION_NONE, COOPERATION_FAILED);
    }
    __atomic_store_n(&cri_block.signal, 0, __ATOMIC_SEQ_CST);
    cri_round_given_up();
    cri_futex_wake(&cri_block.outcome);
    cri_round_close();
}
