/* ahead.c - what will be refused, as far as that is cheap to know while the program runs */
#include "kobj/ahead.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "kobj/file.h"

/* A process that isn't held: it can be looked at, and nothing else. */
struct looked_at {
    struct tracee t;
    int fds;
};

static void looked_at_end(struct looked_at *p)
{
    cleanup_close(&p->t.proc_fd);
    cleanup_close(&p->t.pidfd);
    cleanup_close(&p->fds);
}

static bool look_at(pid_t pid, struct looked_at *ret)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d", pid);
    ret->t = (struct tracee){.pid = pid, .proc_fd = -1, .pidfd = -1, .task_pidfd = -1};
    ret->t.proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ret->t.pidfd = syscall(SYS_pidfd_open, pid, 0);
    ret->fds = openat(ret->t.proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return ret->t.proc_fd >= 0 && ret->t.pidfd >= 0 && ret->fds >= 0;
}

/* ---- descriptors ---- */

/* By far the most are files, directories and pipes, which needn't be taken to see that. */
static bool may_be_refused(const struct looked_at *p, const char *number)
{
    char link[16];
    struct stat st;
    ssize_t n = readlinkat(p->fds, number, link, sizeof(link));

    if (n < 0 || fstatat(p->fds, number, &st, 0) < 0 || S_ISDIR(st.st_mode) || S_ISFIFO(st.st_mode))
        return false;
    return !S_ISREG(st.st_mode) || link[0] != '/' ||
           (n >= 10 && memcmp(link, "/secretmem", 10) == 0);
}

static int check_descriptor(struct looked_at *p, int fd, struct crs_error *err)
{
    _cleanup_(open_file_clear) struct open_file file = {.dup_fd = -1};
    _cleanup_fdinfo_ struct fdinfo info = {0};
    _cleanup_bytes_ struct bytes payload = {0};
    struct kobj_dump ctx = {.t = &p->t};

    if (file_look(&p->t, fd, &file, &info, NULL) < 0)
        return 0; /* it has been closed */
    file.kind = file_match(&file);
    return strcmp(file.kind->saved, "refused") == 0 ? file.kind->dump(&ctx, &file, &payload, err)
                                                    : 0;
}

static int check_descriptors(struct looked_at *p, struct crs_error *err)
{
    int again = dup(p->fds), r = 0;
    _cleanup_closedir_ DIR *dir = again < 0 ? NULL : fdopendir(again);

    if (!dir) {
        cleanup_close(&again);
        return 0;
    }
    for (struct dirent *e; r == 0 && (e = readdir(dir));)
        if (e->d_name[0] != '.' && may_be_refused(p, e->d_name))
            r = check_descriptor(p, atoi(e->d_name), err);
    return r;
}

/* ---- namespaces, tracers ---- */

static int check_namespaces(struct looked_at *p, struct looked_at *root, struct crs_error *err)
{
    struct kobj_member member = {.t = &root->t};
    struct kobj_dump ctx = {.t = &p->t, .members = {&member, 1, 1}};
    _cleanup_bytes_ struct bytes payload = {0};

    return p->t.pid == root->t.pid ? kobj_check_namespaces(&root->t, err)
                                   : kobj_namespaces.dump(&ctx, &payload, err);
}

static int check_tracer(const struct looked_at *p, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(p->t.proc_fd, "status", 1 << 20, &text) < 0 ||
        proc_status_parse((const char *)text.data, &status) < 0 || status.tracer == 0)
        return 0;
    return crs_fail(err, CRS_BUSY, EBUSY, "process %d is traced by process %d", p->t.pid,
                    status.tracer);
}

int kobj_check_ahead(pid_t pid, pid_t root, struct crs_error *err)
{
    _cleanup_(looked_at_end) struct looked_at p, of_root;
    bool seen = look_at(pid, &p), root_seen = look_at(root, &of_root);
    int r = 0;

    if (!seen || !root_seen)
        return 0;
    r = check_tracer(&p, err);
    if (r == 0)
        r = check_namespaces(&p, &of_root, err);
    return r == 0 ? check_descriptors(&p, err) : r;
}
