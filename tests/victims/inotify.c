/*
 * inotify.c - an inotify instance: watches of directories and files, with their numbers
 *
 * The kernel tells inodes, not paths: a file below the working directory and one far from it have
 * to be found.
 */
#include <sys/inotify.h>
#include <sys/stat.h>
#include "victim.h"

struct buffer {
    char data[4096] __attribute__((aligned(8)));
    ssize_t size;
    char *next;
};

/* The next event must be this one. */
static void expect_event(int fd, struct buffer *b, int wd, uint32_t mask, const char *name)
{
    if (b->next == b->data + b->size) {
        b->size = read(fd, b->data, sizeof(b->data));
        b->next = b->data;
        if (b->size <= 0) {
            victim_fail("no event where wd %d mask 0x%x was expected (errno %d)", wd, mask, errno);
            b->size = 0;
            return;
        }
    }
    struct inotify_event *e = (void *)b->next;
    CHECK_EQ(e->wd, wd);
    CHECK_EQ(e->mask, mask);
    CHECK(strcmp(e->len ? e->name : "", name) == 0);
    b->next += sizeof(*e) + e->len;
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    MUST(fd >= 0 && close(fd) == 0);
}

int main(int argc, char **argv)
{
    char directory[5000], inside[5100], deep[5200], file[5300], away[] = "/tmp/crs-victim-XXXXXX";
    struct buffer b = {.next = b.data};

    victim_init(argc, argv);
    victim_path(directory, sizeof(directory), "watched");
    snprintf(inside, sizeof(inside), "%s/new", directory);
    snprintf(deep, sizeof(deep), "%s/deep", directory);
    snprintf(file, sizeof(file), "%s/file", deep);
    MUST(mkdir(directory, 0700) == 0 && mkdir(deep, 0700) == 0 && chdir(directory) == 0);
    make_file(file);
    int elsewhere = mkstemp(away);
    MUST(elsewhere >= 0 && close(elsewhere) == 0);

    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    MUST(fd >= 0);
    for (int i = 1; i <= 40; i++) { /* numbers that are not the first ones */
        MUST(inotify_add_watch(fd, "/", IN_UNMOUNT) == i && inotify_rm_watch(fd, i) == 0);
        MUST(read(fd, b.data, sizeof(b.data)) > 0);
    }
    int in_directory = inotify_add_watch(fd, directory, IN_CREATE | IN_DELETE | IN_EXCL_UNLINK);
    int of_file = inotify_add_watch(fd, file, IN_ATTRIB);
    int of_away = inotify_add_watch(fd, away, IN_ATTRIB);
    MUST(in_directory == 41 && of_file == 42 && of_away == 43 && dup2(fd, 50) == 50);

    victim_ready();
    while (victim_wait()) {
        errno = 0; /* nothing comes from the checkpoint or the restart */
        CHECK(read(fd, b.data, sizeof(b.data)) < 0 && errno == EAGAIN);
        make_file(inside);
        CHECK(unlink(inside) == 0 && chmod(file, 0640) == 0 && chmod(away, 0600) == 0);
        expect_event(fd, &b, in_directory, IN_CREATE, "new");
        expect_event(50, &b, in_directory, IN_DELETE, "new");
        expect_event(fd, &b, of_file, IN_ATTRIB, "");
        expect_event(fd, &b, of_away, IN_ATTRIB, "");
        /* a watch that is added again keeps its number */
        CHECK_EQ(inotify_add_watch(fd, file, IN_ATTRIB), of_file);
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(50, F_GETFD) == 0);
    }
    unlink(away);
    return 0;
}
