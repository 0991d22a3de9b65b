/* snapshot.c - the records of a snapshot, loaded and checked against each other */
#include <string.h>

#include "engine/snapshot.h"

static int damaged(const struct loaded *l, struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: %s", store_reader_path(l->reader), what);
}

Crs__AddressSpace *loaded_space(const struct loaded *l, uint32_t id)
{
    for (size_t i = 0; i < l->memory->n_spaces; i++)
        if (l->memory->spaces[i]->id == id)
            return l->memory->spaces[i];
    return NULL;
}

static bool has_file(const struct loaded *l, uint32_t id)
{
    for (size_t i = 0; i < l->files->n_files; i++)
        if (l->files->files[i]->id == id)
            return true;
    return false;
}

static int check_threads(const struct loaded *l, const Crs__Process *p, struct crs_error *err)
{
    if (p->n_threads == 0 || p->threads[0]->tid != p->pid)
        return damaged(l, err, "tree.pb: the process's first thread isn't its leader");
    for (size_t i = 0; i < p->n_threads; i++) {
        const Crs__Thread *th = p->threads[i];
        if (strcmp(th->arch, arch_name) != 0)
            return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                            "the program was saved on a %s processor, this is %s", th->arch,
                            arch_name);
        if (th->registers.len != sizeof(struct arch_regs))
            return damaged(l, err, "tree.pb: a thread's registers have the wrong size");
        if (th->tid == 0 || th->tid > 0x7fffffff)
            return damaged(l, err, "tree.pb: a thread has an impossible ID");
        for (size_t j = 0; j < i; j++)
            if (p->threads[j]->tid == th->tid)
                return damaged(l, err, "tree.pb: two threads have the same ID");
    }
    return 0;
}

static int check(const struct loaded *l, struct crs_error *err)
{
    if (l->tree->n_processes != 1)
        return l->tree->n_processes == 0
                   ? damaged(l, err, "tree.pb: there is no process in it")
                   : crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                              "the snapshot holds %zu processes, this version restarts one",
                              l->tree->n_processes);
    const Crs__Process *p = l->tree->processes[0];
    if (!loaded_space(l, p->address_space))
        return damaged(l, err, "tree.pb: the process's address space is missing in memory.pb");
    for (size_t i = 0; i < p->n_descriptors; i++) {
        if (!has_file(l, p->descriptors[i]->file))
            return damaged(l, err, "tree.pb: a descriptor's file is missing in files.pb");
        if (i > 0 && p->descriptors[i]->fd <= p->descriptors[i - 1]->fd)
            return damaged(l, err, "tree.pb: descriptors are not in order");
    }
    return check_threads(l, p, err);
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

int loaded_open(const char *path, struct loaded *ret, struct crs_error *err)
{
    struct loaded l = {0};

    int r = store_reader_open(path, &l.reader, err);
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
    store_reader_free(l->reader);
    *l = (struct loaded){0};
}
