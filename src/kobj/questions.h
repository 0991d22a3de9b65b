/*
 * questions.h - what is asked of a held thread by calls that it is made to run
 *
 * Purpose: each call by itself takes stops of the thread, a lot of time; many at once take one. So
 * what every thread (or process) is asked at a checkpoint stands in tables, with the kinds.
 *
 * Calling sequence: kobj_ask_all() before the kinds' dump(), which call kobj_ask(). That gives the
 * answer that is there, once, or makes the call now; so it may be used for any other question, too.
 */
#ifndef KOBJ_QUESTIONS_H
#define KOBJ_QUESTIONS_H

#include "kobj/kobj.h"

/* A call that changes nothing, waits for nothing, and depends on nothing but its arguments. */
struct kobj_question {
    long number;
    uint64_t args[6];
    int block_arg;      /* this argument points to the block that the answer is written to; */
    size_t block_size;  /* 0: there is none */
    int second_arg;     /* so does this, with */
    size_t second_from; /* so many bytes of it left out; 0: no such argument */
};

#define KOBJ_BLOCK_MAX 256 /* bytes of an answer */

/* Ask what the tables have for a thread and, if it is tracee_main() of its process, for that. A
 * failure of single calls is part of their answers. */
int kobj_ask_all(struct tracee_thread *thread, struct crs_error *err);

/* What hasn't been taken by now won't be. */
void kobj_forget_answers(struct tracee_thread *thread);

/* The same with the questions of one table. */
int kobj_ask_these(struct tracee_thread *thread, const struct kobj_question *questions, size_t n,
                   struct crs_error *err);

/* What the kernel returned, and the block (not written to by a call that failed: zeros). *ret_block
 * has room for q->block_size bytes; NULL where there is none. Which question it is is known by its
 * address. */
int kobj_ask(struct tracee_thread *thread, const struct kobj_question *q, int64_t *ret_result,
             void *ret_block, struct crs_error *err);

/* Where the heap of a process ends. */
extern const struct kobj_question kobj_question_brk;

#endif
