/*
 * unix_bind.c - unix sockets get their names back
 *
 * A name with a file is bound where it was. One without (the file was removed, or the name belongs
 * to the socket that accepted this one) is bound in a directory of our own that a child process has
 * as its root: the kernel keeps the name as it was given, and no file of that name is touched.
 */
#include <fcntl.h>
#include <fts.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/unix_socket.h"

#define STACK_SIZE    (64u << 10)
#define AUTOBIND_SIZE 6 /* a zero byte and five digits: chosen by the kernel */

static bool is_autobound(const ProtobufCBinaryData *name)
{
    if (name->len != AUTOBIND_SIZE || name->data[0] != 0)
        return false;
    for (size_t i = 1; i < name->len; i++)
        if (!name->data[i] || !strchr("0123456789abcdef", name->data[i]))
            return false;
    return true;
}

static char *full_path(const Crs__UnixSocket *m)
{
    const char *name = (const char *)m->name.data;
    int n = m->name.len;

    return name[0] == '/' ? strndup(name, n) : format_string("%s/%.*s", m->directory, n, name);
}

/* ---- before anything is started ---- */

static int get_table(struct unix_set *set, struct crs_error *err)
{
    return set->table ? 0 : unix_table_read(&set->table, err);
}

static int in_use(const char *what, uint64_t inode, struct crs_error *err)
{
    char who[96];

    return crs_fail(err, CRS_BUSY, EADDRINUSE,
                    "the program's unix socket has the name %s, which %s uses now; end that and "
                    "try again",
                    what, unix_holder_words(inode, who, sizeof(who)));
}

static int check_abstract(struct unix_set *set, const struct unix_made *item, struct crs_error *err)
{
    const ProtobufCBinaryData *name = &item->m->name;
    char words[128];
    int r = get_table(set, err);

    for (size_t i = 0; r == 0 && i < set->table->entries.n; i++) {
        const struct unix_entry *e = &set->table->entries.items[i];
        if (e->name.size == name->len && e->name.size > 1 &&
            (e->name.data[0] == 0 || e->name.data[0] == '@') &&
            memcmp(e->name.data + 1, name->data + 1, name->len - 1) == 0)
            return in_use(unix_name_words(name, words, sizeof(words)), e->inode, err);
    }
    return r;
}

/* Sockets that were accepted by one that is gone don't count. *ret_inode 0: nobody we know of. */
static bool is_alive(const struct unix_table *table, const char *path, const struct stat *st,
                     uint64_t *ret_inode)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *ret_inode = 0;
    for (size_t i = 0; i < table->entries.n; i++) {
        const struct unix_entry *e = &table->entries.items[i];
        if (!e->has_file || e->file_inode != (uint32_t)st->st_ino || e->file_dev != st->st_dev ||
            (e->connected && e->type != SOCK_DGRAM))
            continue;
        *ret_inode = e->inode;
        return true;
    }
    /* Another network namespace may share the file. */
    int r = fd < 0 ? -errno : unix_connect_place(fd, path);
    return r == 0 || r == -EAGAIN || r == -EPROTOTYPE;
}

static int check_stale(struct unix_set *set, const char *path, const struct stat *st,
                       struct crs_error *err)
{
    uint64_t inode;

    if (!S_ISSOCK(st->st_mode))
        return crs_fail(err, CRS_CANT_RESTART, EEXIST,
                        "%s was the program's unix socket and is another file here; move it away",
                        path);
    return is_alive(set->table, path, st, &inode) ? in_use(path, inode, err) : 0;
}

static int check_path(struct unix_set *set, const char *path, struct crs_error *err)
{
    _cleanup_free_ char *directory = strdup(path);
    struct stat st;
    int r = get_table(set, err);

    if (r < 0)
        return r;
    if (!directory)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (lstat(path, &st) == 0)
        r = check_stale(set, path, &st, err);
    if (r < 0)
        return r;
    *strrchr(directory, '/') = 0;
    if (access(directory[0] ? directory : "/", W_OK | X_OK) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "the program's unix socket %s can't be made here", path);
    return 0;
}

int unix_name_check(struct unix_set *set, const struct unix_made *item, bool own_net,
                    struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;

    if (m->name.len == 0 || m->name_shared)
        return 0;
    if (unix_name_is_abstract(&m->name))
        return is_autobound(&m->name) || own_net ? 0 : check_abstract(set, item, err);
    if (!m->file)
        return 0;
    _cleanup_free_ char *path = full_path(m);
    return path ? check_path(set, path, err) : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- bind ---- */

/* What the child is to do. */
struct binding {
    const char *directory;
    bool as_root; /* with the directory as its root, and not only where it works */
    int fd;
    struct sockaddr_un address;
    socklen_t size;
};

/* Directories on the way are made: they are in a place of our own. */
static int enter_as_root(struct sockaddr_un *address)
{
    char *path = address->sun_path;

    if (chroot(".") < 0 && (unshare(CLONE_NEWUSER) < 0 || chroot(".") < 0))
        return -1;
    for (size_t i = 1; i < sizeof(address->sun_path) && path[i]; i++) {
        if (path[i] != '/')
            continue;
        path[i] = 0;
        mkdir(path, 0700);
        path[i] = '/';
    }
    return 0;
}

/* Its exit status is an errno value. */
static int bind_in_child(void *arg)
{
    struct binding *b = arg;

    if (chdir(b->directory) < 0 || (b->as_root && enter_as_root(&b->address) < 0) ||
        bind(b->fd, (struct sockaddr *)&b->address, b->size) < 0)
        return errno;
    return 0;
}

/* A directory belongs to all threads of a process, so a child binds. -errno. */
static int bind_in(const char *directory, bool as_root, int fd, const ProtobufCBinaryData *name)
{
    struct binding b = {.directory = directory, .as_root = as_root, .fd = fd};
    _cleanup_free_ uint8_t *stack = malloc(STACK_SIZE);
    int status = 0;

    if (!stack)
        return -ENOMEM;
    b.size = unix_address(name, &b.address);
    /* Without a signal at its end it is no child that the caller of the library would see. It may
     * share our memory, which is quicker; not where it is to be in another time namespace, before
     * Linux 6.3. */
    pid_t pid = clone(bind_in_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK, &b);
    if (pid < 0 && errno == EINVAL)
        pid = clone(bind_in_child, stack + STACK_SIZE, CLONE_VFORK, &b);
    if (pid < 0)
        return -errno;
    while (waitpid(pid, &status, __WCLONE) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

static int bind_abstract(struct kobj_restore *ctx, struct unix_made *item, struct crs_error *err)
{
    struct sockaddr_un address;
    socklen_t size = unix_address(&item->m->name, &address);
    char words[128];

    unix_name_words(&item->m->name, words, sizeof(words));
    if (bind(item->fd, (struct sockaddr *)&address, size) == 0)
        return 0;
    if (errno == EADDRINUSE && is_autobound(&item->m->name) &&
        bind(item->fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0) {
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "the name %s that a unix socket had got from the kernel is in use: it has "
                  "another now",
                  words);
        return 0;
    }
    return crs_fail_errno(err, errno == EADDRINUSE ? CRS_BUSY : CRS_CANT_RESTART,
                          "can't give a unix socket its name %s", words);
}

/* The mode of the socket becomes that of its file, as far as the umask lets it. */
static int bind_file(struct unix_set *set, struct unix_made *item, struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;
    char *path = item->place = full_path(m);
    mode_t mode = m->file->mode & 07777;
    struct stat st;
    int r;

    if (!path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (lstat(path, &st) == 0) {
        r = get_table(set, err);
        if (r == 0)
            r = check_stale(set, path, &st, err);
        if (r < 0)
            return r;
        unlink(path);
    }
    fchmod(item->fd, mode);
    r = bind_in(path[0] == '/' && m->name.data[0] == '/' ? "/" : m->directory, false, item->fd,
                &m->name);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't make the unix socket %s: %s", path,
                        strerror(-r));
    if (geteuid() == 0 && lchown(path, m->file->uid, m->file->gid) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't set the owner of %s", path);
    if (chmod(path, mode) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't set the mode of %s", path);
    return 0;
}

/* ---- names without files ---- */

static void remove_tree(const char *directory)
{
    char *const paths[] = {(char *)directory, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

    for (FTSENT *e; fts && (e = fts_read(fts));) {
        if (e->fts_info == FTS_DP)
            rmdir(e->fts_accpath);
        else if (e->fts_info != FTS_D)
            unlink(e->fts_accpath);
    }
    if (fts)
        fts_close(fts);
}

static int make_directory(struct unix_set *set)
{
    const char *tmp = getenv("TMPDIR");

    if (set->directory)
        return 0;
    char *path = format_string("%s/crs-unix-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (!path || !mkdtemp(path)) {
        int r = path ? -errno : -ENOMEM;
        free(path);
        return r;
    }
    set->directory = path;
    return 0;
}

int unix_name_private(struct unix_set *set, int fd, const ProtobufCBinaryData *name,
                      char **ret_place)
{
    struct sockaddr_un address;
    int r;

    if (unix_name_is_abstract(name)) {
        socklen_t size = unix_address(name, &address);
        return bind(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
    }
    r = make_directory(set);
    if (r < 0)
        return r;
    _cleanup_free_ char *place = format_string("%s/%u", set->directory, set->n_places++);
    if (!place || mkdir(place, 0700) < 0)
        return place ? -errno : -ENOMEM;
    r = bind_in(place, true, fd, name);
    if (r == 0 && ret_place)
        *ret_place = format_string("%s/%.*s", place, (int)name->len, name->data);
    else
        remove_tree(place);
    return r;
}

void unix_name_end(struct unix_set *set)
{
    int saved = errno;

    if (set->directory)
        remove_tree(set->directory);
    free(set->directory);
    set->directory = NULL;
    errno = saved;
}

int unix_name_restore(struct kobj_restore *ctx, struct unix_set *set, struct unix_made *item,
                      struct crs_error *err)
{
    const Crs__UnixSocket *m = item->m;
    char words[128];

    if (m->name.len == 0 || item->named)
        return 0;
    item->named = true;
    if (m->file)
        return bind_file(set, item, err);
    if (unix_name_is_abstract(&m->name) && !m->name_shared)
        return bind_abstract(ctx, item, err);
    int r = unix_name_private(set, item->fd, &m->name, &item->place);
    if (r < 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "a unix socket can't have its name %s again, and has none: %s",
                  unix_name_words(&m->name, words, sizeof(words)), strerror(-r));
    return 0;
}

int unix_connect_place(int fd, const char *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int file = open(place, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (file < 0)
        return -errno;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}
