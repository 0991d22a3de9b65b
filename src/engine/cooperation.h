/*
 * cooperation.h - the blocks that cooperating programs share with the tool (base/cooperation.h)
 *
 * A block is found by the ELF note of the library that has it, in the memory of the process: the
 * file that was mapped may be another one by now. What stands in a process isn't trusted: a block
 * is at worst one that says nonsense.
 *
 * A thread's searches remember which files have no note, so that a tree of equal processes costs
 * little. Reading needs ptrace's permission but nobody has to be held; writing needs the process
 * held, and goes by COOPERATION_SET().
 */
#ifndef ENGINE_COOPERATION_H
#define ENGINE_COOPERATION_H

#include <stddef.h>
#include "base/cooperation.h"
#include "proc/maps.h"
#include "tracee/tracee.h"
#include "process.pb-c.h"

struct cooperation_found {
    uint64_t address;
    struct cooperation block;
};

/* The strongest block of the process: FULL over OMIT over RUN; of equals the first in memory.
 * -ENOENT: it has none. -ESRCH, -EPERM: it can't be read. */
int cooperation_find(pid_t pid, struct cooperation_found *ret, struct crs_error *err);

/* The same by mappings that are known; `tid`: a thread of the process that lives. */
int cooperation_find_in(pid_t tid, const struct proc_maps *maps, struct cooperation_found *ret,
                        struct crs_error *err);

/* What this thread has learnt of files: where it goes on to something new. */
void cooperation_forget_files(void);

/* Read a block that was found. -ENOENT: there's none any more (after exec). */
int cooperation_read(pid_t pid, uint64_t address, struct cooperation *ret, struct crs_error *err);

/* Read bytes of it, a word mostly, without a look at the rest: COOPERATION_GET(pid, address, err,
 * rounds, &rounds). */
int cooperation_read_part(pid_t pid, uint64_t address, size_t offset, void *data, size_t size,
                          struct crs_error *err);
#define COOPERATION_GET(pid, address, err, field, ret)                                             \
    cooperation_read_part((pid), (address), offsetof(struct cooperation, field), (ret),            \
                          sizeof(((struct cooperation *)0)->field), (err))

/* Write bytes of the block of a held process: COOPERATION_SET(t, address, err, phase, phase). */
#define COOPERATION_SET(t, address, err, field, value)                                             \
    tracee_write((t), (address) + offsetof(struct cooperation, field),                             \
                 &(typeof(((struct cooperation *)0)->field)){(value)},                             \
                 sizeof(((struct cooperation *)0)->field), (err))

/* Is it a block of a form that is known here? */
bool cooperation_is_sane(const struct cooperation *block);

/* Is a request under way in it? */
bool cooperation_is_busy(const struct cooperation *block);

/* Does nobody in the process see a request through to its end, so that the tool has to? `pid`: its
 * own, as it sees it. */
bool cooperation_is_alone(const struct cooperation *block, pid_t pid);

/* What the last one in the process does at a request's end (see base/cooperation.h), in a copy of
 * the block; and in the block of a held process. */
void cooperation_put_back(struct cooperation *block);
int cooperation_put_back_in(struct tracee *t, uint64_t address, struct crs_error *err);

/* ---- restart ---- */

struct cooperation_restart {
    pid_t restarter;    /* who asked, as it sees itself; 0: unknown */
    const char *source; /* the path of the snapshot; "": it has none */
};

/* In a stub whose memory has been rebuilt, for each that shares memory once: tell the block of
 * `process` that it was restarted. `stubs`: those of the tree's processes. */
int cooperation_tell_restart(const struct cooperation_restart *restart, const Crs__Tree *tree,
                             struct tracee *const *stubs, size_t i, struct crs_error *err);

#endif
