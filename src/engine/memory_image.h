/*
 * memory_image.h - an address space while it is being collected; inside of memory*.c
 */
#ifndef ENGINE_MEMORY_IMAGE_H
#define ENGINE_MEMORY_IMAGE_H

#include <pthread.h>
#include <sys/stat.h>

#include "engine/memory.h"
#include "proc/maps.h"
#include "proc/pagemap.h"
#include "proc/smaps.h"
#include "store/checksum.h"
#include "store/chunk_runs.h"

#define PAGE       4096ull
#define PAGE_OF(a) ((a) / PAGE)

/* ---- what is to be copied ---- */

enum copy_how {
    COPY_FORCED = 1 << 0,    /* not readable for the process: through /proc/PID/mem */
    COPY_KEEP_ZERO = 1 << 1, /* pages of zeros count too */
    COPY_MAY_FAIL = 1 << 2,  /* pages that can't be read are left out */
    COPY_IN_FREEZE = 1 << 3, /* a forked copy of the process hasn't got them */
};

/* Pages, and where they are read: at an address, or an offset of the chunk's descriptor. */
struct copy_run {
    uint64_t page, source;
    uint32_t count;
    uint32_t how; /* enum copy_how */
};

/* A place in the coded list of runs, and what they are told apart from. */
struct copy_place {
    size_t at;
    uint64_t page, shift; /* where the run before ends; its source - page * PAGE */
    uint32_t how;
};

struct copy_chunk {
    struct copy_place first_run;
    uint32_t n_runs, n_pages;
    uint32_t sink;
    int fd;             /* -1: the process's memory */
    uint64_t window;    /* of its last page: number / STORE_CHUNK_PAGES */
    bool mixed;         /* of several windows with few pages each */
    bool in_freeze;     /* COPY_IN_FREEZE, or by a descriptor */
    bool done;          /* read, and what is left of it is in a pack */
    Crs__Chunk *result; /* NULL: nothing left of it */
    Crs__Chunk *same;   /* pages of it that were there already; NULL: none */
};

/* Which chunks of a plan. */
enum copy_part { COPY_ALL, COPY_FREEZE_PART, COPY_FORKED_PART };

static inline bool copy_takes(enum copy_part part, const struct copy_chunk *chunk)
{
    return part == COPY_ALL || (part == COPY_FREEZE_PART) == chunk->in_freeze;
}

/* Where the chunks of an address space or an object end up. */
struct copy_sink {
    Crs__Chunk ***chunks;
    size_t *n_chunks;
};

struct copy_plan {
    struct numbers runs;                 /* coded, since there may be millions */
    struct copy_place last_at, runs_end; /* of the last run; behind it */
    struct copy_run last;
    ARRAY_OF(struct copy_chunk) chunks;
    ARRAY_OF(struct copy_sink) sinks;
    uint64_t n_pages;
};

/* 0 or -ENOMEM with words. *ret_sink is a number for copy_plan_add(). */
int copy_plan_sink(struct copy_plan *plan, Crs__Chunk ***chunks, size_t *n_chunks,
                   uint32_t *ret_sink, struct crs_error *err);
int copy_plan_add(struct copy_plan *plan, uint32_t sink, int fd, uint64_t page, uint64_t count,
                  uint64_t source, uint32_t how, struct crs_error *err);
/* Pages of the process's own memory, to be read where they are. */
int copy_plan_add_set(struct copy_plan *plan, uint32_t sink, const struct page_runs *pages,
                      uint32_t how, struct crs_error *err);
/* The runs of a chunk: n_runs, which are no more than pages are in it. */
void copy_plan_runs(const struct copy_plan *plan, const struct copy_chunk *chunk,
                    struct copy_run *ret);
void copy_plan_clear(struct copy_plan *plan);

/* ---- copying ---- */

/* The pages read for one chunk: page i of the buffer is page[i] of the sink. */
struct copy_buffer {
    uint8_t *data;
    uint64_t page[STORE_CHUNK_PAGES];
    bool keep_zero[STORE_CHUNK_PAGES];
    bool absent[STORE_CHUNK_PAGES]; /* couldn't be read, and needn't be */
    uint32_t n;
};

/* Page numbers in no order. */
struct page_list {
    uint64_t *items;
    size_t n, room;
};

struct copy_source {
    struct memory_image *image;
    struct kobj_dump *ctx;
    struct copy_plan *plan;
    pid_t tid;                   /* whose memory it is, and */
    int mem_fd;                  /* /proc/PID/mem */
    struct page_list *missed;    /* NULL, or for pages that couldn't be read */
    pthread_mutex_t guards_lock; /* of image->guards, and of those */
    enum copy_part part;
    /* NULL, or asked from time to time with the pages that were copied: is the rest left? */
    bool (*enough)(struct copy_source *source, uint64_t done_pages);
    void *enough_arg;
};

/* memory_chunk.c: read one chunk of the plan; put what is left of it into a pack. Several threads
 * may do so at once, each with a buffer of its own. */
int copy_chunk_read(struct copy_source *source, const struct copy_chunk *chunk,
                    struct copy_buffer *buffer, struct crs_error *err);
int copy_chunk_put(struct copy_source *source, struct copy_chunk *chunk, struct copy_buffer *buffer,
                   struct crs_error *err);

/* memory_copy.c: all chunks of the plan, with worker threads. *done_pages and all_pages are for
 * progress: of this and other plans. */
int copy_plan_run(struct copy_source *source, struct copy_buffer *buffer, uint64_t *done_pages,
                  uint64_t all_pages, const volatile int *cancel, uint64_t deadline_us,
                  struct crs_error *err);
/* Then: the chunks to their owners, in the order of the plan. */
int copy_plan_hand_over(struct copy_plan *plan, struct crs_error *err);
struct copy_buffer *copy_buffer_new(int flags, struct crs_error *err); /* MAP_POPULATE, or 0 */
void copy_buffer_free(struct copy_buffer *buffer);                     /* NULL is nothing */

/* ---- the image ---- */

/* memory_beside.c: smaps or numa_maps of a process, in a thread of its own where that pays. What
 * was begun must be ended, which gives the text (the caller's), or -errno and nothing. */
struct memory_beside {
    char path[40];
    struct bytes text;
    int result;
    pthread_t thread;
    bool runs;
};
void memory_beside_begin(struct memory_beside *b, pid_t pid, const char *name);
int memory_beside_end(struct memory_beside *b, struct bytes *ret);

struct memory_live;
struct memory_fork;

struct memory_file {
    dev_t dev;
    ino_t ino;
    Crs__MappedFile *record; /* owned until memory_finish() */
    bool deleted;            /* it has no name any more */
    int fd;                  /* what its content is saved from; -1: it isn't */
    bool whole;              /* all of it, not only what is mapped: */
    ARRAY_OF(Crs__Run) runs; /* pages of it */
};

/* An object that was found by a mapping first: its content is ours to save. */
struct memory_object {
    Crs__MemoryObject *record;  /* of the kobj_dump */
    struct memory_image *image; /* where it was found */
    int fd;                     /* of our own open file description, or -1 */
};

struct memory_vma {
    struct proc_map map;
    uint32_t vm_flags, protection_key;
    uint64_t limit;           /* pages that are there, by smaps */
    uint64_t huge_page_bytes; /* 0: not of huge pages (hugetlb) */
    enum { PAGES_NONE, PAGES_TOUCHED, PAGES_CHANGED, PAGES_ALL } pages; /* which are to be saved */
    Crs__Vma *record; /* owned until memory_collect() hands it to the space; NULL: not saved */
};

/* An open descriptor of the process and the inode behind it. */
struct memory_descriptor {
    dev_t dev;
    ino_t ino;
    int fd;
};

struct memory_image {
    struct memory_set *set;
    pid_t pid, tid;   /* tid: the thread whose tables are read (a leader may have exited) */
    struct tracee *t; /* the frozen process, from memory_collect() on */
    struct memory_beside *beside; /* by which smaps are being read; NULL: they have been */
    bool borrowed;                /* those below are of the checkpoint before */
    struct proc_smaps smaps;
    bool smaps_of_freeze;           /* they were read in the freeze */
    ARRAY_OF(uint64_t) with_policy; /* where mappings begin that may have a policy; as of smaps */
    bool policy_unknown;            /* any may have one */
    struct proc_maps maps;
    ARRAY_OF(struct memory_vma) vmas;
    ARRAY_OF(struct memory_descriptor) descriptors;
    bool descriptors_listed;
    int pagemap_fd;
    bool can_scan, guard_bit;
    struct page_runs guards;
    struct copy_plan plan;
    struct memory_live *live; /* what was copied before the freeze; NULL: nothing */
    struct page_runs huge;    /* memory_collapse.c: what was in transparent huge pages, by */
    int huge_fd;              /* the pagemap of then */
    struct memory_fork *fork; /* a copy of the process, from which the rest is read; NULL: none */
    struct {
        ARRAY_OF(uint32_t) vmas; /* whose pages are looked for in that copy, and */
        uint32_t sink;           /* where they go */
    } deferred;
    Crs__AddressSpace *space;
    uint32_t space_id; /* of it, also when it has been handed over */
    dev_t exe_dev;
    ino_t exe_ino;
    uint32_t exe_file;
    bool exe_deleted;
};

struct memory_late;

/* All address spaces of a snapshot, and what they have in common. */
struct memory_set {
    struct {
        pid_t pid;
        struct memory_beside *beside;       /* NULL: an image has it */
    } known[4];                             /* smaps of processes that the session knows, */
    size_t n_known;                         /* read since the beginning */
    ARRAY_OF(struct memory_image *) images; /* those without a space weren't collected */
    ARRAY_OF(struct memory_file) files;
    ARRAY_OF(struct memory_object) objects;
    uint32_t n_spaces;
    unsigned save_files; /* enum crs_save_files */
    struct memory_late *late;
    bool nice;                /* others go before while the processes run */
    uint64_t buffer_bytes;    /* the most that were there for copying, at a time */
    uint64_t held_us;         /* how long processes were held before and after the freeze, and */
    uint64_t longest_held_us; /* the longest of these */
    bool orphans_asked;       /* who of them takes in orphans; that one: */
    pid_t adopter;            /* 0: nobody */
    bool fork_first;          /* all is left to copies, where they can be made */
    uint64_t copied_bytes, copied_us; /* before the freeze: how fast it goes */
    size_t last;                      /* where memory_image_get() looks first */
    struct memory_aside *aside;
    struct memory_same *same;             /* NULL: there is one process only */
    struct memory_session *session;       /* NULL: none; the caller's */
    struct memory_untracking *untracking; /* memory_untrack.c: it goes on */
};

/* ---- parts ---- */

/* memory_set.c: the image of that process; a new one where it wasn't prepared. */
int memory_image_get(struct memory_set *set, pid_t pid, struct memory_image **ret,
                     struct crs_error *err);

/* memory_policy.c: which mappings may have one, from the text of numa_maps; and that of a mapping
 * with a record. */
bool memory_policy_is_asked(struct memory_image *image); /* without the list */
int memory_policy_list(struct memory_image *image, const char *text, struct crs_error *err);
int memory_policy_collect(struct memory_image *image, struct kobj_dump *ctx,
                          const struct memory_vma *vma, struct crs_error *err);

/* memory_aside.c: a thread reads what tells the mapped files of that process from others; of the
 * first process only. */
void memory_aside_begin(struct memory_set *set, pid_t pid);
/* Waits for it. False: it has nothing of the file as it is. */
bool memory_aside_identity(struct memory_set *set, const struct stat *st,
                           struct bytes *ret_build_id, struct bytes *ret_checksum);
/* The same inode, unchanged as far as its times tell. */
bool memory_same_file(const struct stat *a, const struct stat *b);
/* Both of a file that was read and is still as it was, for later checkpoints by this process. */
void memory_aside_keep(const struct stat *st, const struct bytes *build_id,
                       const struct bytes *checksum);
void memory_aside_end(struct memory_set *set);

#define MEMORY_TEXT_LIMIT (256u << 20) /* of maps, smaps, numa_maps */

/* memory_collect.c: wait for what another thread reads of it. -errno as of the reading. */
int memory_prepare_image_end(struct memory_image *image, struct crs_error *err);

/* memory_borrowed.c: go by the mappings of the checkpoint before, for the time being, if they are
 * the same. When the processes run again: their flags as they have been read by then. -ENOMEM. */
bool memory_borrow_mappings(struct memory_image *image);
int memory_return_mappings(struct memory_image *image, struct crs_error *err);

/* The text of /proc/PID/task/TID/NAME. */
int memory_read_proc(struct memory_image *image, struct kobj_dump *ctx, const char *name,
                     struct bytes *ret, struct crs_error *err);

/* memory_vma.c: what kind of mapping is it, and can it be saved? Fills vma->record and ->pages. */
int memory_vma_classify(struct memory_image *image, struct kobj_dump *ctx, struct memory_vma *vma,
                        struct crs_error *err);

/* What smaps tells of a mapping and maps doesn't, into its record. */
void memory_vma_set_flags(Crs__Vma *record, const struct proc_smap *smap);

/* memory_served.c: by the flags of a mapping, does another process see to its faults that does so
 * for a while only? Another checkpoint that copies it; a restart that brings its pages. */
enum memory_served { MEMORY_NOT_SERVED, MEMORY_TRACKED, MEMORY_FILLED };
enum memory_served memory_served(int proc_fd, pid_t tid, uint32_t vm_flags);

/* memory_files.c */
int memory_find_exe(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err);
/* Is what is mapped found under its name, and no device? */
int memory_file_check(const struct proc_map *map, struct stat *ret_st, struct crs_error *err);
/* The MappedFile of a mapping of a file that has a name; *ret_id. */
int memory_file_get(struct memory_image *image, const struct memory_vma *vma, uint32_t *ret_id,
                    struct crs_error *err);
/* Sizes, build-ids, checksums, contents of deleted ones: when the processes run again. */
int memory_files_finish(struct memory_set *set, struct kobj_dump *ctx, struct crs_error *err);

/* memory_objects.c */
int memory_object_get(struct memory_image *image, struct kobj_dump *ctx,
                      const struct memory_vma *vma, uint32_t *ret_id, struct crs_error *err);
/* Has the process a descriptor of what is mapped there? */
int memory_has_descriptor(struct memory_image *image, struct kobj_dump *ctx,
                          const struct proc_map *map, bool *ret, struct crs_error *err);

/* memory_keys.c, memory_lock.c: which protection keys are taken, and whether memory is locked when
 * it is mapped, into the record of the space. */
int memory_collect_keys(struct memory_image *image, struct crs_error *err);
int memory_collect_locks(struct memory_image *image, struct crs_error *err);

/* memory_sysv.c: is it System V shared memory? The inode number is its ID then. */
bool memory_is_sysv(const struct proc_map *map);
/* Are all mappings of segments whole attachments, or parts of them that join? */
int memory_check_attached(const struct memory_image *image, const struct kobj_dump *ctx,
                          struct crs_error *err);

/*
 * memory_live.c: what was copied before the freeze. In the freeze, with the mappings read, before
 * any of them is planned: does it still count?
 */
void memory_live_enter(struct memory_image *image);
/* Plan only those pages of the mapping that were written to since they were copied. 1: it isn't
 * tracked, nothing was done. */
int memory_live_plan(struct memory_image *image, const struct memory_vma *vma, uint32_t sink,
                     uint32_t how, struct crs_error *err);
/* Is any part of what lies there tracked by us, in whatever process it is? */
bool memory_live_tracks(const struct memory_set *set, uint64_t start, uint64_t end);
/* After the thaw: what of the early copies is still of use goes into the space's record. */
int memory_live_finish(struct memory_image *image, struct crs_error *err);
void memory_live_free(struct memory_live *live); /* NULL is nothing */

/*
 * memory_late.c: few pages are read in the freeze and written after it. Before it: the place for
 * them (n_pages: how many there will be, about). In it: are they few enough? Then the plan of each
 * image is read, with any thread's source. After it.
 */
void memory_late_prepare(struct memory_set *set, uint64_t n_pages);
bool memory_late_begin(struct memory_set *set);
bool memory_late_fits(uint64_t n_pages);
/* Was that done? */
bool memory_late_taken(const struct memory_set *set);
int memory_late_read(struct memory_set *set, struct copy_source *source, struct crs_error *err);
int memory_late_write(struct memory_set *set, struct kobj_dump *ctx, struct crs_error *err);
uint64_t memory_late_bytes(const struct memory_late *late);
void memory_late_free(struct memory_late *late); /* NULL is nothing */

/*
 * memory_fork.c: what a forked copy of the process has is read when the process runs again. How
 * many pages are left to the freeze; and which chunks.
 */
uint64_t memory_freeze_pages(const struct memory_image *image);
/* In the freeze: does any process take in orphans, and so would be the parent of those that the
 * tool has made (set->adopter)? */
void memory_ask_orphans(struct memory_set *set);
/* memory_collect.c: plan the pages of the mappings that were deferred, by the pagemap of the
 * process or of its copy. */
int memory_plan_deferred(struct memory_image *image, int pagemap_fd, struct crs_error *err);
enum copy_part memory_freeze_part(const struct memory_image *image);

/*
 * memory_same.c: pages that several processes have are stored once. Before any is copied, of those
 * that are known by then. Then, for the pages of a chunk, by any thread: those that were put before
 * become *ret, a reference (else it is left alone), and the buffer keeps the others; what was put
 * of these is noted. -ENOMEM.
 */
struct page_checksums {
    uint8_t of[STORE_CHUNK_PAGES][CHECKSUM_SIZE]; /* the buffer's pages */
};
void memory_same_begin(struct memory_set *set);
int memory_same_take(struct memory_same *same, struct copy_buffer *buffer,
                     struct page_checksums *checksums, Crs__Chunk **ret);
void memory_same_note(struct memory_same *same, const Crs__Chunk *chunk,
                      const struct page_checksums *checksums);
void memory_same_free(struct memory_same *same); /* NULL is nothing */

/* memory_elf.c: the build-id of an ELF file; -ENODATA when it has none (or is none). */
int elf_build_id(int fd, struct bytes *ret);

/* memory_files.c: XXH3-128 of size bytes of a file, in the stored form. */
int memory_checksum_file(int fd, uint64_t size, struct bytes *ret);
#define MEMORY_CHECKSUM_LIMIT (256ull << 20)
/* Both of a regular file of that size; without a checksum above the limit. An empty build-id: it
 * has none. -ENOMEM, or it can't be read. */
int memory_identify_file(int fd, uint64_t size, struct bytes *ret_build_id,
                         struct bytes *ret_checksum);

#endif
