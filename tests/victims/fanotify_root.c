/*
 * fanotify_root.c - fanotify marks of a mount and of a file system, with descriptors in events
 *
 * situations: -user
 */
#include <sys/fanotify.h>
#include <sys/stat.h>
#include "victim.h"

/* An event with the descriptor of that file; others are of no interest. */
static bool was_told(int fd, const char *path, uint64_t mask)
{
    char buffer[8192] __attribute__((aligned(8)));
    struct stat wanted, st;
    bool found = false;
    ssize_t n;

    MUST(stat(path, &wanted) == 0);
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        for (struct fanotify_event_metadata *e = (void *)buffer; FAN_EVENT_OK(e, n);
             e = FAN_EVENT_NEXT(e, n)) {
            found |= e->fd >= 0 && fstat(e->fd, &st) == 0 && st.st_ino == wanted.st_ino &&
                     (e->mask & mask) == mask;
            if (e->fd >= 0)
                close(e->fd);
        }
    return found;
}

static void change(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

int main(int argc, char **argv)
{
    char file[5000];

    victim_init(argc, argv);
    victim_path(file, sizeof(file), "file");
    change(file);
    int mount =
        fanotify_init(FAN_UNLIMITED_QUEUE | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
    int system =
        fanotify_init(FAN_UNLIMITED_QUEUE | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
    if (mount < 0 || system < 0) {
        perror("fanotify_init");
        return 77;
    }
    if (fanotify_mark(mount, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, file) < 0 ||
        fanotify_mark(system, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD, file) < 0) {
        perror("fanotify_mark");
        return 77;
    }

    victim_ready();
    while (victim_wait()) {
        change(file);
        CHECK(was_told(mount, file, FAN_CLOSE_WRITE));
        CHECK(was_told(system, file, FAN_MODIFY));
    }
    return 0;
}
