/*
 * process_file.c - files and directories of /proc/PID
 *
 * A process of the snapshot may have another number after a restart: its file is found by that.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "process_file.pb-c.h"

#define PREFIX "/proc/"
#define TASK   "/task/"

/* /proc/meminfo and the like are plain files. */
static bool match(const struct open_file *file)
{
    struct statfs fs;

    return strncmp(file->link, PREFIX, strlen(PREFIX)) == 0 && file->link[strlen(PREFIX)] >= '0' &&
           file->link[strlen(PREFIX)] <= '9' && fstatfs(file->dup_fd, &fs) == 0 &&
           fs.f_type == PROC_SUPER_MAGIC;
}

/* The program's /proc may show the numbers as it sees them, or as we do. */
static struct tracee *find_owner(const struct kobj_dump *ctx, pid_t pid)
{
    struct tracee *member = kobj_find_member_inside(ctx, pid);

    return member ? member : kobj_find_member(ctx, pid);
}

static const struct tracee_thread *find_thread(const struct tracee *t, pid_t tid)
{
    tracee_for_each_thread (t, th)
        if (th->inner_tid == tid || th->tid == tid)
            return th;
    return NULL;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__ProcessFile m = CRS__PROCESS_FILE__INIT;
    char *rest;
    const struct tracee *owner = find_owner(ctx, strtol(file->link + strlen(PREFIX), &rest, 10));
    const struct tracee_thread *thread = NULL;

    if (owner && strncmp(rest, TASK, strlen(TASK)) == 0) {
        thread = find_thread(owner, strtol(rest + strlen(TASK), &rest, 10));
        owner = thread ? owner : NULL;
    }
    if (!owner)
        return file_refuse(file, err, "the process isn't part of the checkpoint, or has ended",
                           "close it before the checkpoint");
    m.pid = owner->inner_pid;
    m.tid = thread ? thread->inner_tid : 0;
    m.name = rest;
    return kobj_pack(&m.base, ret_payload, err);
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__ProcessFile **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__process_file__descriptor, (ProtobufCMessage **)ret, err);
}

static char *path_now(struct kobj_restore *ctx, const Crs__ProcessFile *m)
{
    pid_t pid = kobj_member_now(ctx, m->pid);
    pid_t tid = m->tid ? kobj_member_thread_now(ctx, m->tid) : 0;

    if (pid <= 0 || (m->tid && tid <= 0) || strstr(m->name, "/.."))
        return NULL;
    return tid ? format_string(PREFIX "%d" TASK "%d%s", pid, tid, m->name)
               : format_string(PREFIX "%d%s", pid, m->name);
}

static int open_now(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                    struct crs_error *err)
{
    Crs__ProcessFile *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    _cleanup_free_ char *path = path_now(ctx, m);
    crs__process_file__free_unpacked(m, NULL);
    if (!path)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "its process isn't there");
    *ret_fd = open(path, file_open_flags(record));
    return *ret_fd < 0 ? crs_fail_errno(err, CRS_CANT_RESTART, "can't open %s", path) : 0;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    int fd = -1, r = open_now(ctx, record, &fd, err);

    return r < 0 ? r : file_finish_at(fd, record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__ProcessFile *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "%s%s of process %u", m->tid ? "a thread's " : "",
             m->name[0] ? m->name + 1 : "directory", m->pid);
    crs__process_file__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_process_file = {
    .name = "process-file",
    .title = "file about a process",
    .saved = "with conditions",
    .conditions =
        "of a process that is part of the snapshot; what is read from it is what holds at "
        "the time of reading",
    .match = match,
    .dump = dump,
    .restore = restore,
    .describe = describe,
};
