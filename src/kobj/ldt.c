/* ldt.c - segments of a program's own: modify_ldt(2), which old programs and emulators use */
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "kobj/questions.h"

#define READ_ENTRIES 0 /* the first argument of modify_ldt(2) */
#define ENTRY_SIZE   8

#ifdef SYS_modify_ldt
static const struct kobj_question question = {.number = SYS_modify_ldt,
                                              .args = {READ_ENTRIES, 0, ENTRY_SIZE},
                                              .block_arg = 1,
                                              .block_size = ENTRY_SIZE};
#endif

static int dump_ldt(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
#ifdef SYS_modify_ldt
    uint8_t entry[ENTRY_SIZE];
    int64_t size = 0;
    int r = kobj_ask(tracee_main(ctx->t), &question, &size, entry, err);

    size =
        (int32_t)size; /* so the kernel gives an error, too; there's none in a kernel without it */
    if (r < 0 || size <= 0)
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "process %d has segments of its own (modify_ldt), which can't be saved",
                    ctx->t->pid);
#else
    return 0;
#endif
}

const struct kobj_process_kind kobj_ldt = {
    .name = "ldt",
    .title = "segments of its own (modify_ldt)",
    .saved = "refused",
    .dump = dump_ldt,
#ifdef SYS_modify_ldt
    .questions = &question,
    .n_questions = 1,
#endif
};
