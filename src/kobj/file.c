/* file.c - what the kinds of descriptors share */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"

#define DELETED " (deleted)"

/* What fcntl(F_SETFL) changes; O_ASYNC comes with its owner, at the end. */
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

static const char *article(const char *title)
{
    return strchr("aeio", title[0]) ? "an" : "a";
}

const char *file_words(const struct open_file *file, char *text, size_t size)
{
    if (!file->in_flight)
        snprintf(text, size, "fd %d", file->fd);
    else if (file->carrier >= 0)
        snprintf(text, size, "a descriptor on its way through the unix socket fd %d",
                 file->carrier);
    else
        snprintf(text, size, "a descriptor on its way through a unix socket");
    return text;
}

static int refuse(const struct open_file *file, struct crs_error *err, int errnum,
                  const char *reason, const char *remedy)
{
    const char *title = file->kind->title;
    char words[80];

    return crs_fail(err, CRS_CANT_CHECKPOINT, errnum, "%s is %s %s (%s): %s; %s",
                    file_words(file, words, sizeof(words)), article(title), title, file->link,
                    reason, remedy);
}

int file_refuse(const struct open_file *file, struct crs_error *err, const char *reason,
                const char *remedy)
{
    return refuse(file, err, EOPNOTSUPP, reason, remedy);
}

int file_refuse_for_now(const struct open_file *file, struct crs_error *err, const char *reason,
                        const char *remedy)
{
    return refuse(file, err, EAGAIN, reason, remedy);
}

int file_refuse_errno(const struct open_file *file, struct crs_error *err, const char *what)
{
    char words[80];

    return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "%s (%s): can't %s",
                          file_words(file, words, sizeof(words)), file->link, what);
}

int file_parse_info(const struct open_file *file, struct fdinfo *ret, struct crs_error *err)
{
    int r = fdinfo_parse(file->fdinfo, ret);

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "fd %d (%s): its fdinfo can't be understood", file->fd,
                        file->link);
    return 0;
}

pid_t file_holder_task(const struct open_file *file)
{
    return file->holder->n_threads > 0 ? tracee_main(file->holder)->tid : file->holder->pid;
}

int file_lowest_number(const struct kobj_dump *ctx, const struct open_file *file)
{
    uint32_t lowest = file->fd;

    for (size_t i = 0; i < ctx->members.n; i++) {
        const Crs__Process *p = ctx->members.items[i].record;
        for (size_t j = 0; j < p->n_descriptors && p->descriptors[j]->fd < lowest; j++)
            if (p->descriptors[j]->file == file->id)
                lowest = p->descriptors[j]->fd;
    }
    return (int)lowest;
}

bool file_is_anonymous(const struct open_file *file, const char *name)
{
    return strncmp(file->link, "anon_inode:", 11) == 0 && strcmp(file->link + 11, name) == 0;
}

bool file_has_path(const struct open_file *file)
{
    return file->link[0] == '/';
}

static bool has_deleted_mark(const char *link)
{
    size_t n = strlen(link), mark = strlen(DELETED);

    return n > mark && strcmp(link + n - mark, DELETED) == 0;
}

bool file_is_deleted(const struct open_file *file)
{
    struct stat st;

    if (file->st.st_nlink == 0)
        return true;
    if (!has_deleted_mark(file->link))
        return false;
    /* " (deleted)" may belong to the name */
    return lstat(file->link, &st) < 0 || st.st_ino != file->st.st_ino ||
           st.st_dev != file->st.st_dev;
}

/* A program in a PID namespace of its own has a /proc of its own, too. What doesn't belong to a
 * process is the same in both. */
static bool is_of_proc(const struct open_file *file)
{
    struct statfs own, here;

    return strncmp(file->link, "/proc/", 6) == 0 && fstatfs(file->dup_fd, &own) == 0 &&
           own.f_type == PROC_SUPER_MAGIC && statfs(file->link, &here) == 0 &&
           here.f_type == PROC_SUPER_MAGIC;
}

static bool is_the_same(const struct open_file *file, const struct stat *st)
{
    if (st->st_dev == file->st.st_dev)
        return st->st_ino == file->st.st_ino;
    return st->st_mode == file->st.st_mode && is_of_proc(file);
}

int file_path(const struct open_file *file, char **ret, struct crs_error *err)
{
    struct stat st;
    bool found = lstat(file->link, &st) == 0;

    if (!found && errno == EACCES)
        return file_refuse(file, err, "its path can't be searched by this user",
                           "let the user reach it, or close it before the checkpoint");
    if (!found || !is_the_same(file, &st))
        return file_refuse(file, err,
                           "its path leads to something else here (another mount namespace or "
                           "root directory, or another file mounted over it)",
                           "run the checkpoint where the program sees its files");
    char *path = strdup(file->link);
    if (!path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *ret = path;
    return 0;
}

int file_path_kept(const struct open_file *file, char **ret, struct crs_error *err)
{
    if (file_is_deleted(file))
        return file_refuse(file, err, "it was removed, so it can't be found again",
                           "close it before the checkpoint");
    return file_path(file, ret, err);
}

int file_unpack(const Crs__OpenFile *record, const ProtobufCMessageDescriptor *descriptor,
                ProtobufCMessage **ret, struct crs_error *err)
{
    int r = store_unpack(descriptor, record->payload.data, record->payload.len, ret, err);

    return r < 0 ? crs_fail_at(err, r, "file %u (%s)", record->id, record->name) : 0;
}

const Crs__OpenFile *file_find(const struct kobj_restore *ctx, uint32_t id)
{
    return id >= 1 && id <= ctx->files->n_files ? ctx->files->files[id - 1] : NULL;
}

int file_open_flags(const Crs__OpenFile *record)
{
    int flags = record->flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_ASYNC);

    if (flags & O_TMPFILE & ~O_DIRECTORY)
        flags &= ~O_TMPFILE;
    return flags | O_NOCTTY | O_CLOEXEC;
}

int file_set_flags(int fd, const Crs__OpenFile *record, struct crs_error *err)
{
    int now = fcntl(fd, F_GETFL);
    int wanted = (now & ~SETTABLE) | (record->flags & SETTABLE);

    if (now >= 0 && (now == wanted || (now & O_PATH) || fcntl(fd, F_SETFL, wanted) == 0))
        return 0;
    return crs_fail_errno(err, CRS_CANT_RESTART, "can't set the flags of %s (0%o)", record->name,
                          record->flags);
}

int file_reopen(int fd, int flags, int *ret_fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int new = open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC | O_NOCTTY);
    if (new < 0)
        return -errno;
    *ret_fd = new;
    return 0;
}

int file_finish(int fd, const Crs__OpenFile *record, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int owned = fd;
    int r = file_set_flags(owned, record, err);

    if (r < 0)
        return r;
    *ret_fd = TAKE_FD(owned);
    return 0;
}

int file_finish_at(int fd, const Crs__OpenFile *record, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int owned = fd;

    if (record->position > 0 && lseek(owned, record->position, SEEK_SET) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't go to position %" PRIu64,
                              record->position);
    return file_finish(TAKE_FD(owned), record, ret_fd, err);
}

static const char *type_name(mode_t type)
{
    switch (type & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFCHR:
        return "a character device";
    case S_IFBLK:
        return "a block device";
    case S_IFIFO:
        return "a FIFO";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFSOCK:
        return "a socket";
    }
    return "of an unknown type";
}

int file_check_path(const char *path, mode_t type, struct stat *ret, struct crs_error *err)
{
    struct stat st;

    if (path[0] != '/')
        return crs_fail(err, CRS_DAMAGED, EINVAL, "the file %s has no path", path);
    if ((S_ISLNK(type) ? lstat(path, &st) : stat(path, &st)) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "%s, which the program has open, can't be found here", path);
    if ((st.st_mode & S_IFMT) != (type & S_IFMT))
        return crs_fail(err, CRS_CANT_RESTART, EINVAL, "%s was %s and is %s here", path,
                        type_name(type), type_name(st.st_mode));
    if (ret)
        *ret = st;
    return 0;
}

bool file_has_number(const struct kobj_restore *ctx, const Crs__OpenFile *record, uint32_t fd)
{
    for (size_t i = 0; i < ctx->tree->n_processes; i++) {
        const Crs__Process *p = ctx->tree->processes[i];
        for (size_t j = 0; j < p->n_descriptors; j++)
            if (p->descriptors[j]->fd == fd && p->descriptors[j]->file == record->id)
                return true;
    }
    return false;
}
