/*
 * test_cooperation.c - the note of a cooperating program, and the block that it leads to
 *
 * Made-up and hostile images as bytes; then in this process's own memory, where the search meets
 * this program itself too, which has a block, and images in files of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/cooperation.h"
#include "proc/elf.h"

static struct cooperation own_block __attribute__((used));
COOPERATION_NOTE(own_block);

static void fill_block(struct cooperation *block, uint32_t kind)
{
    *block = (struct cooperation){.version = COOPERATION_VERSION,
                                  .size = sizeof(*block),
                                  .kind = kind,
                                  .pid = getpid(),
                                  .magic = COOPERATION_MAGIC};
}

/* ---- notes as bytes ---- */

struct __attribute__((packed)) note {
    Elf64_Nhdr header;
    char name[8];
    uint64_t desc;
};

static struct note our_note(uint64_t desc)
{
    return (struct note){{8, 8, COOPERATION_NOTE_TYPE}, "OpenCRS", desc};
}

static int next_note(const void *data, size_t size, uint32_t alignment, size_t *at, size_t *ret)
{
    return proc_elf_next_note(data, size, alignment, "OpenCRS", COOPERATION_NOTE_TYPE, 8, at, ret);
}

static void notes_are_found(void **state)
{
    uint8_t data[256] = {0};
    Elf64_Nhdr other = {5, 3, 7};
    struct note note = our_note(42);
    size_t at = 0, desc = 0;

    memcpy(data, &other, sizeof(other));
    memcpy(data + 12, "Some", 5);
    memcpy(data + 12 + 8 + 4, &note, 28); /* behind it, by 4 */
    memcpy(data + 24 + 28, &note, 28);
    assert_int_equal(next_note(data, 24 + 56, 4, &at, &desc), 0);
    assert_int_equal(desc, 24 + 20);
    assert_int_equal(next_note(data, 24 + 56, 4, &at, &desc), 0);
    assert_int_equal(desc, 24 + 28 + 20);
    assert_int_equal(at, 24 + 56);
    assert_int_equal(next_note(data, 24 + 56, 4, &at, &desc), -ENOENT);
}

/* By 8: names and descriptions are padded so that descriptions and notes begin at a multiple. */
static void notes_by_eight(void **state)
{
    uint8_t data[128] = {0};
    Elf64_Nhdr header = {8, 8, COOPERATION_NOTE_TYPE};
    size_t at = 0, desc = 0;

    memcpy(data, &header, sizeof(header));
    memcpy(data + 12, "OpenCRS", 8);
    assert_int_equal(next_note(data, 32, 8, &at, &desc), 0);
    assert_int_equal(desc, 24);
    at = 0;
    assert_int_equal(next_note(data, 31, 8, &at, &desc), -ENOENT);
}

static void hostile_notes(void **state)
{
    struct note note = our_note(1);
    uint8_t data[28];
    size_t at, desc;

    for (size_t size = 0; size < sizeof(data); size++) { /* cut off anywhere */
        memcpy(data, &note, sizeof(data));
        at = 0;
        assert_int_equal(next_note(data, size, 4, &at, &desc), -ENOENT);
    }
    static const uint32_t sizes[] = {0, 1, 7, 9, 0x7fffffff, 0x80000000, 0xfffffffc, UINT32_MAX};
    for (size_t i = 0; i < ELEMENTS(sizes); i++)
        for (size_t field = 0; field < 8; field += 4) {
            memcpy(data, &note, sizeof(data));
            memcpy(data + field, &sizes[i], 4);
            at = 0;
            assert_int_equal(next_note(data, sizeof(data), 4, &at, &desc), -ENOENT);
        }
    memcpy(data, &note, sizeof(data));
    at = SIZE_MAX;
    assert_int_equal(next_note(data, sizeof(data), 4, &at, &desc), -ENOENT);
}

/* ---- headers as bytes ---- */

static Elf64_Ehdr elf_header(uint16_t n)
{
    Elf64_Ehdr elf = {
        .e_type = ET_DYN, .e_phoff = sizeof(elf), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = n};

    memcpy(elf.e_ident, ELFMAG, SELFMAG);
    elf.e_ident[EI_CLASS] = ELFCLASS64;
    elf.e_ident[EI_DATA] = ELFDATA2LSB;
    return elf;
}

static void headers_are_checked(void **state)
{
    struct proc_elf_headers where;
    Elf64_Ehdr elf = elf_header(3);
    const uint8_t *data = (const uint8_t *)&elf;

    assert_int_equal(proc_elf_parse(data, sizeof(elf), &where), 0);
    assert_int_equal(where.offset, 64);
    assert_int_equal(where.size, 3 * sizeof(Elf64_Phdr));
    for (size_t size = 0; size < sizeof(elf); size++)
        assert_int_equal(proc_elf_parse(data, size, &where), -EINVAL);
    elf.e_phnum = UINT16_MAX;
    assert_int_equal(proc_elf_parse(data, sizeof(elf), &where), 0);
    assert_int_equal(where.size, PROC_ELF_HEADERS_LIMIT * sizeof(Elf64_Phdr));
    elf.e_phoff = UINT64_MAX - 8;
    assert_int_equal(proc_elf_parse(data, sizeof(elf), &where), -EINVAL);
    elf = elf_header(0);
    assert_int_equal(proc_elf_parse(data, sizeof(elf), &where), -EINVAL);
    elf = elf_header(1);
    elf.e_phentsize = 32;
    assert_int_equal(proc_elf_parse(data, sizeof(elf), &where), -EINVAL);
    elf = elf_header(1);
    elf.e_ident[EI_CLASS] = ELFCLASS32;
    assert_int_equal(proc_elf_parse(data, sizeof(elf), &where), -EINVAL);
}

static void notes_are_listed(void **state)
{
    Elf64_Phdr headers[PROC_ELF_NOTES_LIMIT + 4] = {
        {.p_type = PT_LOAD, .p_offset = 0x2000, .p_vaddr = 0x9000, .p_memsz = 1},
        {.p_type = PT_LOAD, .p_vaddr = 0x400000, .p_memsz = 0x1000},
    };
    const uint8_t *data = (const uint8_t *)headers;
    struct proc_elf_notes notes;

    for (size_t i = 2; i < ELEMENTS(headers); i++)
        headers[i] = (Elf64_Phdr){
            .p_type = PT_NOTE, .p_vaddr = 0x400100 + i, .p_memsz = 28, .p_align = i % 2 ? 8 : 4};
    assert_int_equal(proc_elf_list_notes(data, sizeof(headers), &notes), 0);
    assert_int_equal(notes.n, PROC_ELF_NOTES_LIMIT);
    assert_int_equal(notes.items[0].distance, 0x102);
    assert_int_equal(notes.items[0].size, 28);
    assert_int_equal(notes.items[0].alignment, 4);
    assert_int_equal(notes.items[1].alignment, 8);
    headers[1].p_offset = 0x1000; /* nothing maps the ELF header */
    assert_int_equal(proc_elf_list_notes(data, sizeof(headers), &notes), -EINVAL);
    assert_int_equal(proc_elf_list_notes(data, 0, &notes), -EINVAL);
}

/* ---- in memory ---- */

/* An image of one page with one note at 0x400, mapped from a file. */
struct image {
    Elf64_Ehdr elf;
    Elf64_Phdr headers[2];
};

static struct image image_with_note(void)
{
    return (struct image){elf_header(2),
                          {{.p_type = PT_LOAD, .p_memsz = 0x1000},
                           {.p_type = PT_NOTE, .p_vaddr = 0x400, .p_memsz = 28, .p_align = 4}}};
}

static uint8_t *map_image(const void *data, size_t size)
{
    _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(pwrite(fd, data, size, 0), size);
    uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

/* One whose note is on a second page, which can't be read at first; both times in one thread. */
static void *find_twice(void *arg)
{
    struct cooperation_found found;
    int before = cooperation_find(getpid(), &found, NULL);

    if (mprotect(arg, 4096, PROT_READ) < 0)
        return NULL;
    return before == -ENOENT && cooperation_find(getpid(), &found, NULL) == 0 ? arg : NULL;
}

static void what_cant_be_read_now(void **state)
{
    struct image image = image_with_note();
    struct cooperation block;
    pthread_t thread;
    void *r;

    own_block.magic = 0;
    fill_block(&block, COOPERATION_RUN);
    image.headers[1].p_vaddr = 0x1000;
    _cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, 8192) == 0);
    uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    struct note note = our_note((uint64_t)&block - (uint64_t)(p + 0x1000 + 20));
    memcpy(p, &image, sizeof(image));
    memcpy(p + 0x1000, &note, 28);
    assert_int_equal(mprotect(p + 0x1000, 4096, PROT_NONE), 0);
    assert_int_equal(pthread_create(&thread, NULL, find_twice, p + 0x1000), 0);
    assert_int_equal(pthread_join(thread, &r), 0);
    assert_ptr_equal(r, p + 0x1000);
    munmap(p, 8192);
}

/* Its note leads to `block`, by the distance from the description. */
static uint8_t *map_image_of(const struct cooperation *block)
{
    struct image image = image_with_note();
    uint8_t *p = map_image(&image, sizeof(image));
    struct note note = our_note((uint64_t)block - (uint64_t)(p + 0x400 + 20));

    memcpy(p + 0x400, &note, 28);
    return p;
}

/* In a thread of its own: what one has learnt of files is forgotten with it. */
static void *find_in_thread(void *arg)
{
    struct crs_error err = {0};
    int r = cooperation_find(getpid(), arg, &err);

    if (r < 0 && r != -ENOENT)
        print_error("%s\n", err.text);
    return (void *)(intptr_t)r;
}

static int find(struct cooperation_found *ret)
{
    pthread_t thread;
    void *r;

    assert_int_equal(pthread_create(&thread, NULL, find_in_thread, ret), 0);
    assert_int_equal(pthread_join(thread, &r), 0);
    return (int)(intptr_t)r;
}

static void the_strongest_block(void **state)
{
    static const uint32_t kinds[] = {COOPERATION_RUN, COOPERATION_OMIT, COOPERATION_FULL};
    struct cooperation_found found;
    struct cooperation blocks[3];
    uint8_t *images[3];

    own_block.magic = 0;
    assert_int_equal(find(&found), -ENOENT);
    for (int i = 0; i < 3; i++) { /* each stronger than those before */
        fill_block(&blocks[i], kinds[i]);
        images[i] = map_image_of(&blocks[i]);
        assert_int_equal(find(&found), 0);
        assert_int_equal(found.address, (uint64_t)&blocks[i]);
        assert_int_equal(found.block.kind, kinds[i]);
    }
    blocks[2].magic = 0; /* not set up yet, or ... */
    assert_int_equal(find(&found), 0);
    assert_int_equal(found.block.kind, COOPERATION_OMIT);
    blocks[1].version++; /* of another form */
    blocks[0].size--;
    assert_int_equal(find(&found), -ENOENT);
    for (int i = 0; i < 3; i++)
        munmap(images[i], 4096);
}

static void this_program(void **state)
{
    struct cooperation_found found;
    struct cooperation block;
    uint32_t rounds = 0;

    fill_block(&own_block, COOPERATION_FULL);
    own_block.rounds = 7;
    memset(own_block.source, 'x', sizeof(own_block.source));
    assert_int_equal(find(&found), 0);
    assert_int_equal(found.address, (uint64_t)&own_block);
    assert_int_equal(strlen(found.block.source), COOPERATION_PATH - 1);
    assert_int_equal(COOPERATION_GET(getpid(), found.address, NULL, rounds, &rounds), 0);
    assert_int_equal(rounds, 7);
    assert_int_equal(cooperation_read(getpid(), found.address, &block, NULL), 0);
    assert_int_equal(block.rounds, 7);
    own_block.magic = 0;
    assert_int_equal(cooperation_read(getpid(), found.address, &block, NULL), -ENOENT);
    assert_int_equal(cooperation_read(getpid(), 16, &block, NULL), -ENOENT);
    assert_int_equal(cooperation_read(getpid(), UINT64_MAX - 8, &block, NULL), -ENOENT);
}

static void hostile_distances(void **state)
{
    static const uint64_t distances[] = {0, 1, INT64_MAX, INT64_MIN, UINT64_MAX, 0x7fffffffffff};
    struct image image = image_with_note();
    uint8_t *p = map_image(&image, sizeof(image));
    struct cooperation_found found;

    for (size_t i = 0; i < ELEMENTS(distances); i++) {
        struct note note = our_note(distances[i]);
        memcpy(p + 0x400, &note, 28);
        assert_int_equal(find(&found), -ENOENT);
    }
    munmap(p, 4096);
}

/* Any bytes changed to any: nothing is found but blocks that are there, and nothing falls over. */
static void random_images(void **state)
{
    struct cooperation block;
    struct image image;
    struct cooperation_found found;

    fill_block(&block, COOPERATION_RUN);
    uint8_t *p = map_image_of(&block);
    memcpy(&image, p, sizeof(image));
    assert_int_equal(find(&found), 0);
    srandom(1);
    for (int i = 0; i < 3000; i++) {
        memcpy(p, &image, sizeof(image));
        for (int k = random() % 4; k >= 0; k--)
            p[random() % sizeof(image)] = random() % 3 ? random() : 0xff;
        int r = find(&found);
        assert_true(r == -ENOENT || (r == 0 && found.address == (uint64_t)&block));
    }
    munmap(p, 4096);
}

/* ---- other processes ---- */

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* Its first thread exits. */
static pid_t start_child(void)
{
    pthread_t thread;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fill_block(&own_block, COOPERATION_OMIT);
        if (pthread_create(&thread, NULL, wait_for_ever, NULL) == 0)
            pthread_exit(NULL);
        _exit(1);
    }
    return pid;
}

static void wait_for_state(pid_t pid, char state)
{
    char path[64], now = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    for (int turn = 0; now != state; turn++) {
        _cleanup_bytes_ struct bytes text = {0};
        assert_int_equal(read_file(AT_FDCWD, path, 4096, &text), 0);
        char *end = strrchr((char *)text.data, ')');
        now = end ? end[2] : 0;
        assert_true(turn < 60000);
        usleep(now == state ? 0 : 1000);
    }
}

static void ended_processes(void **state)
{
    struct cooperation_found found;
    struct cooperation block;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    wait_for_state(pid, 'Z');
    assert_int_equal(cooperation_find(pid, &found, NULL), -ENOENT);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(cooperation_find(pid, &found, NULL), -ESRCH);
    assert_int_equal(cooperation_read(pid, (uint64_t)&own_block, &block, NULL), -ESRCH);
}

/* What it maps is shown by its other threads only. */
static void exited_leader(void **state)
{
    struct cooperation_found found;
    struct cooperation block;
    pid_t pid = start_child();

    wait_for_state(pid, 'Z');
    assert_int_equal(cooperation_find(pid, &found, NULL), 0);
    assert_int_equal(found.block.kind, COOPERATION_OMIT);
    assert_int_equal(found.block.pid, pid);
    assert_int_equal(cooperation_read(pid, found.address, &block, NULL), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_are_found),  cmocka_unit_test(notes_by_eight),
        cmocka_unit_test(hostile_notes),    cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(notes_are_listed), cmocka_unit_test(the_strongest_block),
        cmocka_unit_test(this_program),     cmocka_unit_test(hostile_distances),
        cmocka_unit_test(random_images),    cmocka_unit_test(ended_processes),
        cmocka_unit_test(exited_leader),    cmocka_unit_test(what_cant_be_read_now),
    };
    return cmocka_run_group_tests_name("cooperation", tests, NULL, NULL);
}
