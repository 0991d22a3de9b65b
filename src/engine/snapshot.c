/* snapshot.c - the records of a snapshot, loaded and checked against each other */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/memory.h"
#include "engine/sharing.h"
#include "engine/snapshot.h"

static int damaged(const struct loaded *l, struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: %s", store_reader_path(l->reader), what);
}

Crs__AddressSpace *loaded_space(const struct loaded *l, uint32_t id)
{
    return memory_find_space(l->memory, id);
}

/* ---- one process ---- */

static bool has_file(const struct loaded *l, uint32_t id)
{
    for (size_t i = 0; i < l->files->n_files; i++)
        if (l->files->files[i]->id == id)
            return true;
    return false;
}

/* Only the leader's place is kept when it has exited, and only while others live. */
static bool may_have_exited(const Crs__Process *p, size_t i)
{
    return i == 0 && p->n_threads > 1 && p->threads[i]->registers.len == 0;
}

static int check_threads(const struct loaded *l, const Crs__Process *p, struct crs_error *err)
{
    if (p->n_threads == 0 || p->threads[0]->tid != p->pid)
        return damaged(l, err, "tree.pb: a process's first thread isn't its leader");
    for (size_t i = 0; i < p->n_threads; i++) {
        const Crs__Thread *th = p->threads[i];
        if (strcmp(th->arch, arch_name) != 0)
            return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                            "the program was saved on a %s processor, this is %s", th->arch,
                            arch_name);
        if (th->exited && !may_have_exited(p, i))
            return damaged(l, err, "tree.pb: a thread has exited that can't have");
        if (!th->exited && th->registers.len != sizeof(struct arch_regs))
            return damaged(l, err, "tree.pb: a thread's registers have the wrong size");
    }
    return 0;
}

static int check_descriptors(const struct loaded *l, const Crs__Process *p, struct crs_error *err)
{
    for (size_t i = 0; i < p->n_descriptors; i++) {
        uint32_t file = p->descriptors[i]->file;
        bool in_place =
            file > 0 && file <= l->files->n_files && l->files->files[file - 1]->id == file;
        if (!in_place && !has_file(l, file))
            return damaged(l, err, "tree.pb: a descriptor's file is missing in files.pb");
        if (i > 0 && p->descriptors[i]->fd <= p->descriptors[i - 1]->fd)
            return damaged(l, err, "tree.pb: descriptors are not in order");
    }
    return 0;
}

/* A status that a process can really end with, as of wait(2). */
static bool is_end(uint32_t status)
{
    const uint64_t harmless = 1ULL << SIGCHLD | 1ULL << SIGCONT | 1ULL << SIGURG |
                              1ULL << SIGWINCH | 1ULL << SIGSTOP | 1ULL << SIGTSTP |
                              1ULL << SIGTTIN | 1ULL << SIGTTOU;
    int signal = status & 0x7f;

    if (signal == 0)
        return (status & ~0xff00u) == 0;
    return (status & ~0xffu) == 0 && signal <= 64 && (signal == 64 || !(harmless >> signal & 1));
}

static int check_zombie(const struct loaded *l, const Crs__Process *p, struct crs_error *err)
{
    if (p->n_threads || p->n_descriptors || p->stopped)
        return damaged(l, err, "tree.pb: a process that has ended still has something");
    if (!is_end(p->exit_status))
        return damaged(l, err, "tree.pb: a process has ended with an impossible status");
    return 0;
}

static int check_process(const struct loaded *l, const Crs__Process *p, struct crs_error *err)
{
    if (p->exit_signal > 64)
        return damaged(l, err, "tree.pb: a process has an impossible exit signal");
    if (p->zombie)
        return check_zombie(l, p, err);
    if (!loaded_space(l, p->address_space))
        return damaged(l, err, "tree.pb: a process's address space is missing in memory.pb");
    int r = check_descriptors(l, p, err);
    return r < 0 ? r : check_threads(l, p, err);
}

/* ---- together ---- */

/* A number and the process that has it. */
struct number {
    uint32_t value;
    size_t process;
};

static int compare_numbers(const void *a, const void *b)
{
    const struct number *x = a, *y = b;

    return (x->value > y->value) - (x->value < y->value);
}

static const struct number *find_number(const struct number *list, size_t n, uint32_t value)
{
    const struct number key = {.value = value};

    return bsearch(&key, list, n, sizeof(*list), compare_numbers);
}

static bool are_different(struct number *list, size_t n)
{
    if (n > 0)
        qsort(list, n, sizeof(*list), compare_numbers);
    for (size_t i = 1; i < n; i++)
        if (list[i].value == list[i - 1].value)
            return false;
    return true;
}

/* PIDs and TIDs are numbers of one sort: no two are the same. */
static int check_ids(const struct loaded *l, struct crs_error *err)
{
    const Crs__Tree *tree = l->tree;
    size_t n = 0, room = tree->n_processes;

    for (size_t i = 0; i < tree->n_processes; i++)
        room += tree->processes[i]->n_threads;
    _cleanup_free_ struct number *ids = calloc(room, sizeof(*ids));
    if (!ids)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        ids[n++] = (struct number){p->pid, i};
        for (size_t k = 1; k < p->n_threads; k++)
            ids[n++] = (struct number){p->threads[k]->tid, i};
    }
    if (!are_different(ids, n))
        return damaged(l, err, "tree.pb: two threads have the same ID");
    if (ids[0].value == 0 || ids[n - 1].value > INT32_MAX)
        return damaged(l, err, "tree.pb: a thread has an impossible ID");
    return 0;
}

/* Leaders of what it belongs to: where they are in the tree, they belong to it too. */
static int check_leaders(const struct loaded *l, const struct number *pids, size_t i,
                         struct crs_error *err)
{
    const Crs__Tree *tree = l->tree;
    const Crs__Process *p = tree->processes[i];
    const struct number *session = find_number(pids, tree->n_processes, p->session);
    const struct number *group = find_number(pids, tree->n_processes, p->group);

    if (p->session > INT32_MAX || p->group > INT32_MAX ||
        (p->session == p->pid && p->group != p->pid) ||
        (session && tree->processes[session->process]->session != p->session) ||
        (group && tree->processes[group->process]->session != p->session))
        return damaged(l, err, "tree.pb: sessions and process groups contradict each other");
    return 0;
}

static int check_family(const struct loaded *l, struct crs_error *err)
{
    const Crs__Tree *tree = l->tree;
    _cleanup_free_ struct number *pids = calloc(tree->n_processes, sizeof(*pids));
    int r = 0;

    if (!pids)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < tree->n_processes; i++)
        pids[i] = (struct number){tree->processes[i]->pid, i};
    qsort(pids, tree->n_processes, sizeof(*pids), compare_numbers);
    for (size_t i = 0; r == 0 && i < tree->n_processes; i++) {
        const struct number *parent =
            find_number(pids, tree->n_processes, tree->processes[i]->parent);
        if (parent && i > 0 && parent->process >= i)
            r = damaged(l, err, "tree.pb: a process comes before its parent");
        else if (parent && i > 0 && tree->processes[parent->process]->zombie)
            r = damaged(l, err, "tree.pb: a process that has ended has children");
        if (r == 0)
            r = check_leaders(l, pids, i, err);
    }
    return r;
}

static int check(const struct loaded *l, struct crs_error *err)
{
    const Crs__Tree *tree = l->tree;
    int r = 0;

    if (tree->n_processes == 0)
        return damaged(l, err, "tree.pb: there is no process in it");
    if (tree->processes[0]->zombie)
        return damaged(l, err, "tree.pb: its first process has ended");
    for (size_t i = 0; r == 0 && i < tree->n_processes; i++)
        r = check_process(l, tree->processes[i], err);
    if (r == 0)
        r = check_ids(l, err);
    return r < 0 ? r : check_family(l, err);
}

/* Nothing of the index is needed here, but a snapshot of which any record is damaged isn't used. */
static int check_packs(const struct loaded *l, struct crs_error *err)
{
    ProtobufCMessage *packs = NULL;
    int r = store_get_record(l->reader, "packs", &crs__packs__descriptor, &packs, err);

    if (r == 0)
        protobuf_c_message_free_unpacked(packs, NULL);
    return r;
}

int loaded_open(const char *path, struct store_reader *lent, struct loaded *ret,
                struct crs_error *err)
{
    struct loaded l = {.reader = lent, .lent = lent};

    int r = lent ? 0 : store_reader_open(path, &l.reader, err);
    if (r == 0)
        r = store_get_record(l.reader, "tree", &crs__tree__descriptor, (ProtobufCMessage **)&l.tree,
                             err);
    if (r == 0)
        r = store_get_record(l.reader, "files", &crs__files__descriptor,
                             (ProtobufCMessage **)&l.files, err);
    if (r == 0)
        r = store_get_record(l.reader, "memory", &crs__memory__descriptor,
                             (ProtobufCMessage **)&l.memory, err);
    if (r == 0)
        r = check_packs(&l, err);
    if (r == 0)
        r = check(&l, err);
    if (r == 0)
        r = sharing_expand(l.tree, store_reader_path(l.reader), err);
    if (r < 0) {
        loaded_clear(&l);
        return r;
    }
    *ret = l;
    return 0;
}

void loaded_clear(struct loaded *l)
{
    crs__tree__free_unpacked(l->tree, NULL);
    crs__files__free_unpacked(l->files, NULL);
    crs__memory__free_unpacked(l->memory, NULL);
    if (!l->lent)
        store_reader_free(l->reader);
    *l = (struct loaded){0};
}
