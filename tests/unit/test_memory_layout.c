/* test_memory_layout.c - saved address spaces that must be refused, and room between mappings */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engine/memory_restore.h"

/* A space of three mappings: private, private right behind it, shared; and one chunk. */
struct sample {
    Crs__Memory memory;
    Crs__AddressSpace space;
    Crs__MappedFile file;
    Crs__MemoryObject object;
    Crs__Vma vmas[3];
    Crs__Chunk chunk;
    Crs__Run run;
    Crs__Vma *vma_list[3];
    Crs__Chunk *chunk_list[1];
    Crs__Run *run_list[1];
    Crs__MappedFile *file_list[1];
    Crs__MemoryObject *object_list[1];
};

static void make(struct sample *s)
{
    *s = (struct sample){.memory = CRS__MEMORY__INIT,
                         .space = CRS__ADDRESS_SPACE__INIT,
                         .file = CRS__MAPPED_FILE__INIT,
                         .object = CRS__MEMORY_OBJECT__INIT,
                         .chunk = CRS__CHUNK__INIT,
                         .run = CRS__RUN__INIT};
    for (size_t i = 0; i < 3; i++) {
        s->vmas[i] = (Crs__Vma)CRS__VMA__INIT;
        s->vma_list[i] = &s->vmas[i];
        s->vmas[i].protection = 3;
    }
    s->vmas[0].start = 0x100000;
    s->vmas[0].end = s->vmas[1].start = 0x110000;
    s->vmas[1].end = 0x120000;
    s->vmas[1].kind = CRS__VMA_KIND__VMA_FILE_PRIVATE;
    s->vmas[1].file = 1;
    s->vmas[2].start = 0x200000;
    s->vmas[2].end = 0x210000;
    s->vmas[2].kind = CRS__VMA_KIND__VMA_OBJECT;
    s->vmas[2].object = 1;
    s->file.id = s->object.id = 1;
    s->run.first = 0x10f;
    s->run.count = 2;
    s->chunk.raw_bytes = s->chunk.stored_bytes = 8192;
    s->run_list[0] = &s->run;
    s->chunk.runs = s->run_list;
    s->chunk.n_runs = 1;
    s->chunk_list[0] = &s->chunk;
    s->space.chunks = s->chunk_list;
    s->space.n_chunks = 1;
    s->space.vmas = s->vma_list;
    s->space.n_vmas = 3;
    s->space.exe = 1;
    s->file_list[0] = &s->file;
    s->object_list[0] = &s->object;
    s->memory.files = s->file_list;
    s->memory.objects = s->object_list;
    s->memory.n_files = s->memory.n_objects = 1;
}

static int check(struct sample *s, bool *marks)
{
    struct crs_error err = {0};
    int r = memory_check_layout(&s->memory, &s->space, &err);

    if (r == 0)
        r = memory_mark_pages(&s->space, marks, &err);
    if (r < 0)
        assert_int_equal(err.kind, CRS_DAMAGED);
    return r;
}

static void test_good(void **state)
{
    bool marks[3] = {0};
    struct sample s;

    make(&s);
    assert_int_equal(check(&s, marks), 0);
    assert_true(marks[0] && marks[1] && !marks[2]);
}

#define BAD(change)                                                                                \
    do {                                                                                           \
        struct sample s;                                                                           \
        make(&s);                                                                                  \
        change;                                                                                    \
        assert_true(check(&s, NULL) < 0);                                                          \
    } while (0)

static void test_bad(void **state)
{
    BAD(s.vmas[0].start = 0x110000);
    BAD(s.vmas[0].start = 0);
    BAD(s.vmas[0].start = 0x100001);
    BAD(s.vmas[0].end = 0x111000);
    BAD(s.vmas[2].end = MEMORY_TOP + PAGE);
    BAD(s.vmas[2].end = UINT64_MAX & ~(PAGE - 1));
    BAD(s.vmas[1].offset = 1);
    BAD(s.vmas[1].file = 2);
    BAD(s.vmas[1].file = 0);
    BAD(s.vmas[2].object = 2);
    BAD(s.vmas[2].kind = 77);
    BAD(s.vmas[0].protection = 8);
    BAD(s.space.n_vmas = 0);
    BAD(s.space.exe = 0);
    BAD(s.space.exe = 2);
    BAD(s.run.count = 0);
    BAD(s.run.count = 257);
    BAD(s.run.count = 3);
    BAD(s.chunk.raw_bytes = 4096);
    BAD(s.chunk.stored_bytes = 4096);
    BAD(s.run.first = 0x11f);      /* over the end */
    BAD(s.run.first = 0x200);      /* shared memory isn't filled so */
    BAD(s.run.first = 0xff);       /* before the beginning */
    BAD(s.run.first = UINT64_MAX); /* overflows */
    BAD(s.run.first = UINT64_MAX / PAGE);
}

static void test_gap(void **state)
{
    struct address_range ranges[] = {
        {0x7ffff0000000, 0x7ffff0010000},
        {0x400000, 0x500000},
        {0x480000, 0x600000},
        {0xffffffffff600000, 0xffffffffff601000},
    };
    uint64_t at = memory_find_gap(ranges, ELEMENTS(ranges), 0x10000);
    assert_true(at > 0x10000000 && at < 0x7fff00000000 && at % PAGE == 0);

    struct address_range full = {0x20000, MEMORY_TOP};
    assert_int_equal(memory_find_gap(&full, 1, 0x20000), 0);
    assert_int_equal(memory_find_gap(&full, 1, 0x10000), MEMORY_LOW);
    assert_true(memory_find_gap(NULL, 0, PAGE) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
