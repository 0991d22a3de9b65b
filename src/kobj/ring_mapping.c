/* ring_mapping.c - mappings that a process shares with the kernel, made by their kinds */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kobj/ring_mapping.h"

const Crs__AddressSpace *ring_space(const struct kobj_restore *ctx, const Crs__Process *process)
{
    const Crs__Memory *memory = ctx->memory;

    for (size_t i = 0; i < memory->n_spaces; i++)
        if (memory->spaces[i]->id == process->address_space)
            return memory->spaces[i];
    return NULL;
}

int ring_advise(struct tracee_thread *th, const Crs__Vma *vma, struct crs_error *err)
{
    static const struct {
        uint32_t flag;
        int advice;
    } advices[] = {
        {CRS__VMA_FLAG__VMA_FLAG_DONTDUMP, MADV_DONTDUMP},
        {CRS__VMA_FLAG__VMA_FLAG_DONTFORK, MADV_DONTFORK},
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ELEMENTS(advices); i++)
        if (vma->flags & advices[i].flag)
            r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART,
                               "give advice on a mapping of a ring", SYS_madvise, vma->start,
                               vma->end - vma->start, advices[i].advice);
    return r;
}
