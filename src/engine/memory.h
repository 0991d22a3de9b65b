/*
 * memory.h - address spaces: collected, dumped, built up again
 *
 * Collect first, copy later: memory_prepare() reads what is slow to read before the freeze,
 * memory_collect() takes the tables in the freeze, memory_dump() copies the pages (in the freeze
 * for now), memory_finish() does what can wait until the processes run again (checksums of the
 * mapped files). The address spaces of one snapshot are one set: files that several of them map are
 * named once, memory that they share is saved once.
 */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

#include "kobj/kobj.h"

struct memory_set;
struct proc_maps;

int memory_set_new(struct memory_set **ret, struct crs_error *err);
void memory_set_free(struct memory_set *set); /* NULL is nothing */
/* From now on the place for pages that are read in a freeze is kept for the next one, up to 4 MiB
 * of it. For a process that has nothing else to do. */
void memory_late_keep(void);
DEFINE_CLEANUP(struct memory_set, memory_set)

/* What is copied while the processes run is copied with the lowest priority. */
void memory_be_nice(struct memory_set *set);
/* The most memory that was there for buffers, at a time. */
uint64_t memory_buffer_bytes(const struct memory_set *set);
/* What the processes have in memory that no file has, as prepared. */
uint64_t memory_resident_bytes(const struct memory_set *set);

/*
 * Before the freeze: the process runs. First of all, those that the session knows: their mappings
 * are read by other threads, until memory_prepare_end(), which waits for them. Who isn't there any
 * more is left to the freeze.
 */
int memory_prepare_known(struct memory_set *set, struct crs_error *err);
int memory_prepare(struct memory_set *set, pid_t pid, struct crs_error *err);
int memory_prepare_end(struct memory_set *set, struct crs_error *err);

/* The same, when all of its memory is there: what crs restart --lazy is still bringing is waited
 * for, with a warning, as long as may_wait() returns 0. 1: it was; children that were made
 * meanwhile have memory that isn't there, too. Fails only with what fails the checkpoint. */
int memory_prepare_whole(struct memory_set *set, struct kobj_dump *ctx, pid_t pid,
                         int (*may_wait)(const void *arg, struct crs_error *err), const void *arg,
                         struct crs_error *err);

/* Then: will the freeze refuse them, as far as that is cheap to know while they run? 0, or the
 * refusal. What is in the way may be gone by then: that it is refused, only the freeze says. */
int memory_check_ahead(const struct memory_set *set, struct crs_error *err);

/*
 * Then, where the freeze shall be short: copy pages while the processes run, and again those that
 * are written to meanwhile, until few are left. Each process is held some times for less than a
 * millisecond. `least_bytes`: processes with less memory than that are left to the freeze, as is
 * what can't be tracked. `may_leave`: where they write faster than can be copied all is left to
 * forked copies (below). *ret_reason: why nothing could be done at all, in words; kind 0: it could,
 * or there was nothing. Fails only with what fails the checkpoint.
 */
int memory_copy_ahead(struct memory_set *set, struct kobj_dump *ctx, uint64_t least_bytes,
                      bool may_leave, const volatile int *cancel, uint64_t deadline_us,
                      struct crs_error *ret_reason, struct crs_error *err);
/* Was anything copied so? */
bool memory_is_live(const struct memory_set *set);
/* How long were they held besides the freeze, together? *ret_longest (may be NULL): the longest. */
uint64_t memory_held_us(const struct memory_set *set, uint64_t *ret_longest);
/* In the freeze, at once: that it was held before is made up for in what is left of timeouts. */
void memory_held_again(const struct memory_set *set, struct tracee *t);
/* The processes run again: they are tracked no more, but for the next checkpoint. This goes on
 * beside the caller. */
void memory_untrack_begin(struct memory_set *set);
/* At the end in any case: when this returns none is tracked. */
void memory_untrack(struct memory_set *set);

/* Which pages are in transparent huge ones, before anything is done that may split them (this is
 * part of memory_copy_ahead()). At the end of all, while the processes run, whether the checkpoint
 * succeeded or not: those that were split are joined again, as far as the kernel lets us. */
void memory_note_huge(struct memory_set *set);
void memory_ask_huge(struct memory_set *set); /* in the freeze: may they be joined then? */
void memory_collapse(struct memory_set *set, const volatile int *cancel); /* NULL is nothing */

/* In the freeze, for ctx->t: mappings, their flags, which pages hold data, guards, brk, auxv, exe,
 * vDSO. *ret_id: AddressSpace.id. What was not prepared is read now. Refuses what can't be saved
 * (userfaultfd areas, device memory, secret memory, ...). */
int memory_collect(struct memory_set *set, struct kobj_dump *ctx, uint32_t *ret_id,
                   struct crs_error *err);

/* Then: the mappings of a process that was collected; NULL: it wasn't. */
const struct proc_maps *memory_maps(const struct memory_set *set, pid_t pid);

/* In the freeze, when all are collected: which pages of shared memory are to be saved. */
int memory_plan_objects(struct memory_set *set, struct crs_error *err);

/* In the freeze: copy pages into packs, with worker threads. Stops when *cancel becomes non-zero
 * or now_us() passes deadline_us (0: none). */
int memory_dump(struct memory_set *set, struct kobj_dump *ctx, const volatile int *cancel,
                uint64_t deadline_us, struct crs_error *err);

/*
 * In the freeze, when all is planned: processes may be copied by fork(2), so that what the copy has
 * is read from it when they run again. Where that makes the freeze shorter and there's
 * enough memory; or all. (To be called with `never`, too: what was left to copies is planned then.)
 * *ret_reason: why one couldn't be copied so, that should have been; kind 0. Then, when what was
 * changed in the processes for calls is taken back. After the thaw: what is read from the copies.
 * At the end in any case, in the same thread.
 */
enum memory_forking { MEMORY_FORK_NEVER, MEMORY_FORK_IF_FASTER, MEMORY_FORK_ALL };
int memory_fork(struct memory_set *set, enum memory_forking how, struct crs_error *ret_reason,
                struct crs_error *err);
int memory_fork_settle(struct memory_set *set, struct crs_error *err);
int memory_fork_dump(struct memory_set *set, struct kobj_dump *ctx, const volatile int *cancel,
                     uint64_t deadline_us, struct crs_error *err);
void memory_fork_end(struct memory_set *set); /* NULL is nothing */
bool memory_is_forked(const struct memory_set *set);
/* Then: what is to be copied and written in the freeze. 0: it is only read there, being little. */
uint64_t memory_frozen_bytes(const struct memory_set *set);
/* Before the freeze, if any may be copied so: the place for what isn't. */
void memory_fork_prepare(struct memory_set *set, enum memory_forking how);

/* After the thaw: the record (spaces, objects, files), to be freed by the caller. */
int memory_finish(struct memory_set *set, struct kobj_dump *ctx, Crs__Memory **ret,
                  struct crs_error *err);

/* ---- restart ---- */

/* NULL: there is none of that AddressSpace.id. */
Crs__AddressSpace *memory_find_space(const Crs__Memory *memory, uint32_t id);

/* Before anything is started: mapped files there and the same, CPU, vDSO. CRS_CANT_RESTART. */
int memory_check(struct kobj_restore *ctx, struct crs_error *err);

/* Would a thread that stands at `pc` be inside of the saved vDSO? It can't go on in another one. */
bool memory_in_vdso(const Crs__AddressSpace *space, uint64_t pc);

/* Is the saved vDSO the one that this kernel has? */
bool memory_vdso_is_same(const Crs__AddressSpace *space);

/*
 * Before the first stub is forked: open the packs, the mapped files and the shared objects of all
 * address spaces, at numbers from MEMORY_FD_BASE on and without close-on-exec, for all stubs to
 * inherit: they must close no descriptor from that number on. They are kept in ctx->memory_files.
 */
#define MEMORY_FD_BASE 512
int memory_open_files(struct kobj_restore *ctx, struct crs_error *err);

/* Close those of the stub that is built up; of several that share a table of descriptors, when the
 * memory of all has been rebuilt. */
int memory_close_remote(struct kobj_restore *ctx, struct crs_error *err);

/* Close ours (a stub's are closed by memory_close_remote()). To be called in every case, at the end
 * of the restart; does nothing the second time. */
void memory_close_files(struct kobj_restore *ctx);

/* The file to exec for a stub: an open descriptor of the saved executable (close-on-exec, the
 * caller's), and the number under which stubs have it. After memory_open_files(). */
int memory_open_exe(struct kobj_restore *ctx, const Crs__AddressSpace *space, int *ret_fd,
                    struct crs_error *err);
int memory_exe_number(const struct kobj_restore *ctx, const Crs__AddressSpace *space);

/*
 * Build the address space in ctx->t: everything of the exec'ed stub is unmapped, the vDSO moved,
 * mappings made and filled (checksums are checked as it goes). On success ctx->t->scratch lies
 * outside of the saved mappings; memory_seal() takes it away. The protections are the final ones
 * then: what has to be written after this goes by tracee_write(), which doesn't mind them.
 */
int memory_rebuild(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err);

/* Instead: ctx->t shares the memory of `with`, which was rebuilt. */
int memory_join(struct kobj_restore *ctx, const struct tracee *with, struct crs_error *err);

/* The last steps, when all who share it need no more calls: locks, seals, brk and the other fields
 * of the kernel's mm; scratch gone. After this no call may be made that needs scratch memory.
 * RLIMIT_MEMLOCK counts here. */
int memory_seal(struct kobj_restore *ctx, const Crs__AddressSpace *space, struct crs_error *err);

#endif
