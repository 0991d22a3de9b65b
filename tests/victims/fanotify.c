/*
 * fanotify.c - a fanotify group as any user may make one: marks of directories and files
 */
#include <sys/fanotify.h>
#include <sys/stat.h>
#include "victim.h"

#ifndef FAN_REPORT_DFID_NAME
#define FAN_REPORT_DFID_NAME 0x00000c00
#endif

/* Makes and removes a file there: these events, merged or not, and no others of that directory. */
static uint64_t seen(int fd)
{
    char buffer[8192] __attribute__((aligned(8)));
    uint64_t mask = 0;
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        for (struct fanotify_event_metadata *e = (void *)buffer; FAN_EVENT_OK(e, n);
             e = FAN_EVENT_NEXT(e, n))
            mask |= e->mask;
    return mask;
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

int main(int argc, char **argv)
{
    char directory[5000], file[5100], inside[5100];

    victim_init(argc, argv);
    victim_path(directory, sizeof(directory), "watched");
    snprintf(inside, sizeof(inside), "%s/new", directory);
    victim_path(file, sizeof(file), "file");
    MUST(mkdir(directory, 0700) == 0);
    make_file(file);
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK, O_RDONLY);
    int empty = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, O_RDWR);
    if (fd < 0 || empty < 0) {
        perror("fanotify_init");
        return 77;
    }
    if (fanotify_mark(fd, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR, AT_FDCWD, directory) <
        0) {
        perror("fanotify_mark");
        return 77;
    }
    MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY | FAN_ATTRIB, AT_FDCWD, file) == 0);
    MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
                       FAN_ATTRIB, AT_FDCWD, file) == 0);
    CHECK_EQ(seen(fd), 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(seen(fd), 0);
        make_file(inside);
        CHECK_EQ(seen(fd), FAN_CREATE);
        CHECK(unlink(inside) == 0);
        CHECK_EQ(seen(fd), FAN_DELETE);
        CHECK(mkdir(inside, 0700) == 0 && rmdir(inside) == 0);
        CHECK_EQ(seen(fd), FAN_CREATE | FAN_DELETE | FAN_ONDIR);
        CHECK(chmod(file, 0600) == 0);
        CHECK_EQ(seen(fd), 0); /* ignored */
        make_file(file);
        CHECK_EQ(seen(fd), FAN_MODIFY);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        CHECK_EQ(fcntl(empty, F_GETFD), FD_CLOEXEC);
    }
    return 0;
}
