/*
 * mvapich2.c - the way in which an MPI's launcher and its ranks use the interface: each asks for
 * its own checkpoint or one rank's, looks at the exact return values, and shows cr_strerror()'s
 * words
 */
#include "proof.h"

enum mode { READY, NOT_NOW, WITHOUT_ME };

static int mode;
static int returned;

static int on_checkpoint(void *arg)
{
    static const int answers[] = {CR_CHECKPOINT_READY, CR_CHECKPOINT_TEMP_FAILURE,
                                  CR_CHECKPOINT_OMIT};

    returned = cr_checkpoint(answers[mode]);
    return returned < 0 ? returned : 0; /* its connections couldn't be suspended: that's no fault */
}

/* A context without the program's files, whatever the defaults are. */
static int checkpoint_process(pid_t target)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    int r, errnum;

    fill(&args, CR_SCOPE_PROC, target, open_nowhere());
    args.cr_flags &= ~CR_CHKPT_DUMP_ALL;
    if (cr_request_checkpoint(&args, &handle) < 0) {
        close(args.cr_fd);
        return errno;
    }
    do
        r = cr_poll_checkpoint(&handle, NULL);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    errnum = errno;
    close(args.cr_fd);
    CHECK(r > 0 || r == CR_POLL_CHKPT_ERR_POST);
    return r > 0 ? 0 : errnum;
}

/* ---- a rank ---- */

static void rank(int from, int to)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    for (char what; (what = hear(from));) {
        __atomic_store_n(&mode, what - '0', __ATOMIC_SEQ_CST);
        returned = 1;
        say(to, 'm');
        if (hear(from) == 'o') /* now its own, too */
            CHECK_IS(checkpoint_process(getpid()), mode == READY     ? 0
                                                   : mode == NOT_NOW ? CR_ETEMPFAIL
                                                                     : ESRCH);
        CHECK_IS(returned, mode == READY ? 0 : mode == NOT_NOW ? -CR_ETEMPFAIL : -CR_EOMITTED);
        say(to, 'd');
    }
}

/* ---- the launcher ---- */

static void expect(struct child *child, enum mode answer, int result)
{
    say(child->to, (char)('0' + answer));
    CHECK(hear(child->from) == 'm');
    CHECK_IS(checkpoint_process(child->pid), result);
    CHECK(result == 0 || strlen(cr_strerror(result)) > 5);
    say(child->to, 's');
    CHECK(hear(child->from) == 'd');
    say(child->to, (char)('0' + answer));
    CHECK(hear(child->from) == 'm');
    say(child->to, 'o');
    CHECK(hear(child->from) == 'd');
}

int main(void)
{
    struct child child = start(rank);

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT) >= 0);
    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint_process(getpid()), 0);
    expect(&child, READY, 0);
    expect(&child, NOT_NOW, CR_ETEMPFAIL);
    expect(&child, WITHOUT_ME, ESRCH);
    expect(&child, READY, 0); /* as if nothing had been */
    CHECK(strcmp(cr_strerror(CR_ETEMPFAIL), cr_strerror(CR_EPERMFAIL)) != 0);
    end_well(&child);
    return 0;
}
