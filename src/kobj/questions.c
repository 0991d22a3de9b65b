/* questions.c - many calls of a thread at once, for all kinds together */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "kobj/questions.h"

#define MAX_QUESTIONS 32

const struct kobj_question kobj_question_brk = {.number = SYS_brk};

struct answer {
    const struct kobj_question *question; /* NULL: it was given */
    int64_t result;
    size_t offset; /* of the block */
};

/* One block of memory: a thread's answers that nobody has asked for yet. */
struct kobj_answers {
    size_t n;
    struct answer items[MAX_QUESTIONS];
    uint8_t blocks[]; /* as they were in the scratch memory */
};

/* The blocks begin at such addresses. */
static size_t round_up(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static void add(struct kobj_answers *a, const struct kobj_question *q, size_t n, size_t *size)
{
    for (size_t i = 0; i < n; i++) {
        if (a->n == MAX_QUESTIONS || *size + round_up(q[i].block_size) > TRACEE_SCRATCH_SIZE)
            return; /* kobj_ask() makes the call itself */
        a->items[a->n++] = (struct answer){.question = &q[i], .offset = *size};
        *size += round_up(q[i].block_size);
    }
}

/* Those of the tables; the bytes of all blocks. */
static size_t gather(struct kobj_answers *a, bool of_process)
{
    size_t size = 0;

    for (size_t i = 0; kobj_thread_kinds[i]; i++)
        add(a, kobj_thread_kinds[i]->questions, kobj_thread_kinds[i]->n_questions, &size);
    for (size_t i = 0; of_process && kobj_process_kinds[i]; i++)
        add(a, kobj_process_kinds[i]->questions, kobj_process_kinds[i]->n_questions, &size);
    if (of_process)
        add(a, &kobj_question_brk, 1, &size);
    return size;
}

static struct remote_call make_call(const struct kobj_question *q, uint64_t block)
{
    struct remote_call call = {.number = q->number};

    memcpy(call.args, q->args, sizeof(call.args));
    if (q->block_size)
        call.args[q->block_arg] = block;
    if (q->second_from)
        call.args[q->second_arg] = block + q->second_from;
    return call;
}

static int ask(struct tracee_thread *thread, struct kobj_answers *a, size_t size,
               struct crs_error *err)
{
    struct remote_call calls[MAX_QUESTIONS];
    struct tracee *t = thread->owner;

    for (size_t i = 0; i < a->n; i++)
        calls[i] = make_call(a->items[i].question, t->scratch + a->items[i].offset);
    const struct tracee_part block = {t->scratch, a->blocks, size};
    int r = tracee_calls_with(thread, calls, a->n, size ? &block : NULL, err);
    for (size_t i = 0; r == 0 && i < a->n; i++)
        a->items[i].result = calls[i].result;
    return r;
}

void kobj_forget_answers(struct tracee_thread *thread)
{
    free(thread->answers);
    thread->answers = NULL;
}

/* The tables' questions, or those `n`. */
static int ask_at_once(struct tracee_thread *thread, const struct kobj_question *questions,
                       size_t n, struct crs_error *err)
{
    struct kobj_answers asked = {0};
    size_t size = 0;
    int r = kobj_need_scratch(thread, err);

    kobj_forget_answers(thread);
    if (questions)
        add(&asked, questions, n, &size);
    else
        size = gather(&asked, thread == tracee_main(thread->owner));
    struct kobj_answers *a = calloc(1, sizeof(*a) + size);
    if (!a)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *a = asked;
    if (r == 0)
        r = ask(thread, a, size, err);
    if (r < 0)
        free(a);
    else
        thread->answers = a;
    return r;
}

int kobj_ask_all(struct tracee_thread *thread, struct crs_error *err)
{
    return ask_at_once(thread, NULL, 0, err);
}

int kobj_ask_these(struct tracee_thread *thread, const struct kobj_question *questions, size_t n,
                   struct crs_error *err)
{
    return ask_at_once(thread, questions, n, err);
}

static bool find_answer(struct tracee_thread *thread, const struct kobj_question *q,
                        int64_t *ret_result, void *ret_block)
{
    struct kobj_answers *a = thread->answers;

    for (size_t i = 0; a && i < a->n; i++) {
        if (a->items[i].question != q)
            continue;
        a->items[i].question = NULL;
        *ret_result = a->items[i].result;
        if (q->block_size)
            memcpy(ret_block, a->blocks + a->items[i].offset, q->block_size);
        return true;
    }
    return false;
}

int kobj_ask(struct tracee_thread *thread, const struct kobj_question *q, int64_t *ret_result,
             void *ret_block, struct crs_error *err)
{
    uint8_t block[KOBJ_BLOCK_MAX] = {0};
    struct tracee *t = thread->owner;

    if (find_answer(thread, q, ret_result, ret_block))
        return 0;
    int r = kobj_need_scratch(thread, err);
    if (r == 0 && q->block_size)
        r = tracee_write(t, t->scratch, block, q->block_size, err);
    if (r < 0)
        return r;
    struct remote_call call = make_call(q, t->scratch);
    r = tracee_calls(thread, &call, 1, err);
    if (r == 0 && q->block_size)
        r = tracee_read(t, t->scratch, block, q->block_size, err);
    if (r < 0)
        return r;
    *ret_result = call.result;
    if (q->block_size)
        memcpy(ret_block, block, q->block_size);
    return 0;
}
