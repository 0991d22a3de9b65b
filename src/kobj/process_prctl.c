/* process_prctl.c - what prctl(2) sets for a process */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "kobj/questions.h"
#include "process_prctl.pb-c.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

enum { DUMPABLE, SUBREAPER, THP, MDWE, MERGE, N_QUESTIONS };

static const struct kobj_question questions[N_QUESTIONS] = {
    [DUMPABLE] = {.number = SYS_prctl, .args = {PR_GET_DUMPABLE}},
    [SUBREAPER] = {.number = SYS_prctl,
                   .args = {PR_GET_CHILD_SUBREAPER},
                   .block_arg = 1,
                   .block_size = sizeof(int)},
    [THP] = {.number = SYS_prctl, .args = {PR_GET_THP_DISABLE}},
    [MDWE] = {.number = SYS_prctl, .args = {PR_GET_MDWE}},
    [MERGE] = {.number = SYS_prctl, .args = {PR_GET_MEMORY_MERGE}},
};

static int dump_process_prctl(struct kobj_dump *ctx, struct bytes *ret_payload,
                              struct crs_error *err)
{
    Crs__ProcessPrctl message = CRS__PROCESS_PRCTL__INIT;
    uint32_t values[N_QUESTIONS];
    int subreaper = 0, r = 0;

    for (int i = 0; r == 0 && i < N_QUESTIONS; i++) {
        int64_t result = 0;
        r = kobj_ask(tracee_main(ctx->t), &questions[i], &result, &subreaper, err);
        /* A kernel that can't do it hasn't done it. */
        values[i] = kobj_call_failed(result) ? 0 : i == SUBREAPER ? subreaper : result;
    }
    if (r < 0)
        return r;
    message.dumpable = values[DUMPABLE];
    message.child_subreaper = values[SUBREAPER] != 0;
    message.thp_disable = values[THP];
    message.mdwe = values[MDWE];
    message.memory_merge = values[MERGE] == 1;
    return kobj_pack(&message.base, ret_payload, err);
}

static int set(struct kobj_restore *ctx, const char *words, int option, uint64_t a, uint64_t b,
               struct crs_error *err)
{
    int64_t result;
    int r = REMOTE(tracee_main(ctx->t), &result, err, SYS_prctl, option, a, b);

    if (r == 0 && kobj_call_failed(result))
        KOBJ_WARN(ctx, "can't %s again: %s", words, strerror(-result));
    return r;
}

static int restore_process_prctl(struct kobj_restore *ctx, const Crs__Process *process,
                                 const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__ProcessPrctl *message = NULL;
    int r = kobj_unpack(&crs__process_prctl__descriptor, payload, &message, err);

    if (r == 0 && message->child_subreaper)
        r = set(ctx, "make it a child subreaper", PR_SET_CHILD_SUBREAPER, 1, 0, err);
    /* The stub inherits it from the restarter, so also the lack of it is set. */
    if (r == 0)
        r = set(ctx, "set the use of huge pages", PR_SET_THP_DISABLE, message->thp_disable & 1,
                message->thp_disable & ~1u, err);
    if (r == 0 && message->memory_merge)
        r = set(ctx, "let its memory be merged", PR_SET_MEMORY_MERGE, 1, 0, err);
    return r;
}

static int lock_process_prctl(struct kobj_restore *ctx, const Crs__Process *process,
                              const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__ProcessPrctl *message = NULL;
    int r = kobj_unpack(&crs__process_prctl__descriptor, payload, &message, err);

    if (r == 0 && message->mdwe)
        r = set(ctx, "deny memory that is writable and executable", PR_SET_MDWE, message->mdwe, 0,
                err);
    /* 2 (readable by root only) is the kernel's to set: 0 comes nearest. */
    if (r == 0)
        r = set(ctx, "set whether it can be dumped", PR_SET_DUMPABLE, message->dumpable == 1, 0,
                err);
    return r;
}

static int describe_process_prctl(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__ProcessPrctl *message = NULL;
    int r = kobj_unpack(&crs__process_prctl__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%s%s%s%s", message->dumpable == 1 ? "dumpable" : "not dumpable",
                 message->child_subreaper ? ", child subreaper" : "",
                 message->thp_disable ? ", huge pages disabled" : "",
                 message->mdwe ? ", memory-deny-write-execute" : "");
    return r;
}

const struct kobj_process_kind kobj_process_prctl = {
    .name = "process_prctl",
    .title = "prctl settings of the process",
    .saved = "yes",
    .conditions = "who may trace it (PR_SET_PTRACER) can't be read",
    .dump = dump_process_prctl,
    .restore = restore_process_prctl,
    .lock = lock_process_prctl,
    .describe = describe_process_prctl,
    .questions = questions,
    .n_questions = N_QUESTIONS,
};
