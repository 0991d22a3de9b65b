/*
 * inotify_paths.c - paths of what an inotify instance watches, or a fanotify group
 *
 * With CAP_DAC_READ_SEARCH a directory can be opened by its file handle. Without it the inode is
 * looked for where it is likely: where the program is and has files open, above these, in its home
 * and the usual directories for what changes, then everywhere on the file system, up to a number of
 * entries that takes about a second. Names are compared by the inode numbers that readdir(3) gives,
 * so that only directories are opened. All this is done before the freeze, as far as the watches
 * are there by then: in the freeze the paths that were found are only looked at again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/inotify_paths.h"
#include "proc/mountinfo.h"

#define NEAR_ENTRIES 20000u  /* to look at below each likely place */
#define FAR_ENTRIES  200000u /* to look at below all others */

struct mount {
    int id;
    dev_t device;
    char *path;
};

/* A path that was found, for one that is looked for again. */
struct watched {
    struct watched *next;
    ino_t ino;
    char *path;
};

struct search {
    int proc_fd;
    const struct fdinfo *info;
    char **found;
    size_t n_missing;
    ARRAY_OF(struct mount) mounts;
    ARRAY_OF(char *) queue; /* directories to be looked through */
    size_t next;            /* of these */
    size_t n_entries;       /* looked at */
    bool near_only;         /* not everywhere */
    bool no_memory;
};

/* ---- is it the one? ---- */

static const struct mount *find_mount(const struct search *s, int id)
{
    for (size_t i = 0; i < s->mounts.n; i++)
        if (s->mounts.items[i].id == id)
            return &s->mounts.items[i];
    return NULL;
}

/* What a path leads to. */
struct place {
    union {
        struct file_handle handle;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    };
    bool has_handle;
    dev_t mount_device;
    struct stat st;
};

static bool look_at(const struct search *s, const char *path, struct place *p)
{
    int id;

    p->handle.handle_bytes = MAX_HANDLE_SZ;
    p->has_handle = name_to_handle_at(AT_FDCWD, path, &p->handle, &id, 0) == 0;
    const struct mount *m = p->has_handle ? find_mount(s, id) : NULL;
    p->mount_device = m ? m->device : 0;
    return lstat(path, &p->st) == 0;
}

/* By its handle, which no other inode of the file system has, ever; by number where there are no
 * handles. (stat(2) gives another device than the superblock's on some file systems.) */
static bool is_watched(const struct place *p, const struct fdinfo_watch *w)
{
    if (w->handle_size > 0 && p->has_handle)
        return p->mount_device == w->device && p->handle.handle_bytes == w->handle_size &&
               p->handle.handle_type == w->handle_type &&
               memcmp(p->handle.f_handle, w->handle, w->handle_size) == 0;
    return p->st.st_dev == w->device && p->st.st_ino == w->ino;
}

static void compare(struct search *s, size_t i, const struct place *p, const char *path)
{
    if (s->found[i] || !is_watched(p, &s->info->watches.items[i]))
        return;
    s->found[i] = strdup(path);
    s->no_memory |= !s->found[i];
    s->n_missing -= !!s->found[i];
}

static void try_all(struct search *s, const char *path)
{
    struct place place;

    if (look_at(s, path, &place))
        for (size_t i = 0; i < s->info->watches.n; i++)
            compare(s, i, &place, path);
}

/* One that has the inode number of a watch: most have none. */
static void try_inode(struct search *s, ino_t ino, const char *path)
{
    for (size_t i = 0; i < s->info->watches.n; i++)
        if (!s->found[i] && s->info->watches.items[i].ino == ino) {
            try_all(s, path);
            return;
        }
}

/* ---- mounts ---- */

static int parse_mount(const char *line, struct mount *ret)
{
    struct proc_mount mount;

    if (!proc_mount_parse(line, &mount))
        return 0;
    *ret = (struct mount){.id = mount.id, .device = mount.device, .path = strdup(mount.path)};
    return ret->path ? 1 : -ENOMEM;
}

static int list_mounts(struct search *s)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
    _cleanup_free_ char *line = NULL;
    size_t room = 0;

    while (file && getline(&line, &room, file) > 0) {
        struct mount mount;
        int r = parse_mount(line, &mount);
        struct mount *new = r > 0 ? ARRAY_ADD(&s->mounts) : NULL;
        if (r < 0 || (r > 0 && !new))
            return -ENOMEM;
        if (new)
            *new = mount;
    }
    return 0;
}

/* ---- by handle ---- */

static int open_by_handle(const struct mount *mount, const struct fdinfo_watch *w)
{
    union {
        struct file_handle handle;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } u = {.handle = {.handle_bytes = w->handle_size, .handle_type = w->handle_type}};
    _cleanup_close_ int at = open(mount->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    memcpy(u.handle.f_handle, w->handle, w->handle_size);
    return at < 0 ? -1 : open_by_handle_at(at, &u.handle, O_PATH | O_CLOEXEC);
}

static void try_handle(struct search *s, size_t i)
{
    const struct fdinfo_watch *w = &s->info->watches.items[i];

    for (size_t k = 0; k < s->mounts.n && !s->found[i] && w->handle_size > 0; k++) {
        _cleanup_free_ char *path = NULL;
        char link[64];
        if (s->mounts.items[k].device != w->device)
            continue;
        _cleanup_close_ int fd = open_by_handle(&s->mounts.items[k], w);
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (fd >= 0 && read_link(AT_FDCWD, link, &path) == 0)
            try_all(s, path);
    }
}

/* ---- look through directories ---- */

static void enqueue(struct search *s, const char *path)
{
    char **place = ARRAY_ADD(&s->queue);
    char *copy = place ? strdup(path) : NULL;

    if (copy)
        *place = copy;
    else
        s->no_memory = true;
}

static bool is_directory(int at, const struct dirent *e, dev_t device)
{
    struct stat st;

    if (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
        return false;
    return fstatat(at, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           st.st_dev == device;
}

static void look_through(struct search *s, const char *path, dev_t device)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
    if (fd < 0 && errno == EPERM) /* somebody else's */
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        cleanup_close(&fd);
        return;
    }
    for (struct dirent *e; s->n_missing > 0 && !s->no_memory && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        _cleanup_free_ char *entry =
            format_string("%s/%s", strcmp(path, "/") == 0 ? "" : path, e->d_name);
        s->no_memory |= !entry;
        s->n_entries++;
        if (!entry)
            return;
        try_inode(s, e->d_ino, entry);
        if (is_directory(fd, e, device))
            enqueue(s, entry);
    }
}

static void clear_queue(struct search *s)
{
    for (size_t i = 0; i < s->queue.n; i++)
        free(s->queue.items[i]);
    s->queue.n = s->next = 0;
}

/* Breadth first, since watched files seldom lie deep. */
static void look_below(struct search *s, const char *path, size_t limit)
{
    size_t end = s->n_entries + limit;
    struct stat st;

    if (s->n_missing == 0 || lstat(path, &st) < 0)
        return;
    try_all(s, path);
    if (!S_ISDIR(st.st_mode))
        return;
    enqueue(s, path);
    while (s->n_missing > 0 && s->next < s->queue.n && s->n_entries < end && !s->no_memory) {
        _cleanup_free_ char *directory = TAKE_PTR(s->queue.items[s->next]);
        s->next++;
        look_through(s, directory, st.st_dev);
    }
    clear_queue(s);
}

/* ---- where to look ---- */

/* The place, and all directories above it. */
static void try_upwards(struct search *s, const char *path)
{
    _cleanup_free_ char *copy = strdup(path);

    s->no_memory |= !copy;
    if (!copy || copy[0] != '/')
        return;
    for (char *slash; s->n_missing > 0 && copy[1]; *slash = 0) {
        try_all(s, copy);
        slash = strrchr(copy, '/');
        if (slash == copy)
            slash++;
    }
    try_all(s, "/");
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash > path ? strndup(path, slash - path) : strdup("/");
}

/* Below a directory that the process has open, or one that it has a file open in. */
static void look_near(struct search *s, const char *link)
{
    struct stat st;

    if (lstat(link, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return;
    _cleanup_free_ char *directory = S_ISDIR(st.st_mode) ? strdup(link) : parent_of(link);
    s->no_memory |= !directory;
    if (directory)
        look_below(s, directory, NEAR_ENTRIES);
}

static void look_at_files(struct search *s, void (*look)(struct search *s, const char *link))
{
    int fd = openat(s->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        cleanup_close(&fd);
    for (struct dirent *e; dir && s->n_missing > 0 && (e = readdir(dir));) {
        _cleanup_free_ char *link = NULL;
        if (read_link(dirfd(dir), e->d_name, &link) == 0 && link[0] == '/')
            look(s, link);
    }
}

static void look_at_environment(struct search *s)
{
    static const char *const names[] = {"HOME=", "TMPDIR=", "XDG_RUNTIME_DIR=", "PWD="};
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(s->proc_fd, "environ", 4 << 20, &text) < 0)
        return;
    const char *end = (const char *)text.data + text.size;
    for (const char *p = (const char *)text.data; p < end; p += strlen(p) + 1)
        for (size_t i = 0; i < ELEMENTS(names); i++)
            if (strncmp(p, names[i], strlen(names[i])) == 0)
                look_below(s, p + strlen(names[i]), NEAR_ENTRIES);
}

static void look_around(struct search *s)
{
    static const char *const usual[] = {"/dev", "/dev/shm", "/tmp",     "/var/tmp",  "/run",
                                        "/etc", "/var/log", "/var/lib", "/var/spool"};
    _cleanup_free_ char *cwd = NULL, *exe = NULL;
    bool has_cwd = read_link(s->proc_fd, "cwd", &cwd) == 0;

    if (has_cwd)
        try_upwards(s, cwd);
    if (read_link(s->proc_fd, "exe", &exe) == 0)
        try_upwards(s, exe);
    if (has_cwd)
        look_below(s, cwd, NEAR_ENTRIES);
    look_at_files(s, try_upwards);
    look_at_files(s, look_near);
    look_at_environment(s);
    for (size_t i = 0; i < ELEMENTS(usual); i++)
        look_below(s, usual[i], NEAR_ENTRIES);
    for (size_t i = 0; !s->near_only && i < s->mounts.n; i++)
        for (size_t k = 0; k < s->info->watches.n; k++)
            if (!s->found[k] && s->info->watches.items[k].device == s->mounts.items[i].device) {
                look_below(s, s->mounts.items[i].path, FAR_ENTRIES);
                break;
            }
}

static void search_clear(struct search *s)
{
    clear_queue(s);
    free(s->queue.items);
    for (size_t i = 0; i < s->mounts.n; i++)
        free(s->mounts.items[i].path);
    free(s->mounts.items);
}

/* ---- what was found before ---- */

static void try_known(struct search *s, const struct kobj_dump *ctx)
{
    for (const struct watched *w = ctx->watched; w; w = w->next)
        try_inode(s, w->ino, w->path);
}

static void remember(const struct search *s, struct kobj_dump *ctx)
{
    for (size_t i = 0; i < s->info->watches.n; i++) {
        struct watched *new = s->found[i] ? calloc(1, sizeof(*new)) : NULL;
        char *path = new ? strdup(s->found[i]) : NULL;
        if (!path) {
            free(new);
            continue;
        }
        *new = (struct watched){ctx->watched, s->info->watches.items[i].ino, path};
        ctx->watched = new;
    }
}

void inotify_forget(struct kobj_dump *ctx)
{
    while (ctx->watched) {
        struct watched *w = ctx->watched;
        ctx->watched = w->next;
        free(w->path);
        free(w);
    }
}

int inotify_find_paths(struct kobj_dump *ctx, int proc_fd, const struct fdinfo *info,
                       char ***ret_paths, struct crs_error *err)
{
    _cleanup_(search_clear) struct search s = {
        .proc_fd = proc_fd, .info = info, .n_missing = info->watches.n};

    s.found = calloc(info->watches.n + 1, sizeof(*s.found));
    s.no_memory = !s.found || list_mounts(&s) < 0;
    if (!s.no_memory)
        try_known(&s, ctx);
    if (!s.no_memory && s.n_missing > 0) {
        for (size_t i = 0; i < info->watches.n; i++)
            try_handle(&s, i);
        look_around(&s);
        remember(&s, ctx);
    }
    if (s.no_memory) {
        inotify_free_paths(s.found, info->watches.n);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *ret_paths = s.found;
    return 0;
}

int inotify_find_name(struct kobj_dump *ctx, int proc_fd, const char *link, const struct stat *st,
                      bool frozen, char **ret, struct crs_error *err)
{
    /* It is open, so its number is nobody else's. */
    struct fdinfo_watch watch = {.device = st->st_dev, .ino = st->st_ino};
    struct fdinfo info = {.watches = {.items = &watch, .n = 1}};
    char *found[1] = {NULL};
    _cleanup_(search_clear) struct search s = {
        .proc_fd = proc_fd, .info = &info, .found = found, .n_missing = 1, .near_only = frozen};
    _cleanup_free_ char *directory = parent_of(link);

    s.no_memory = !directory || list_mounts(&s) < 0;
    if (!s.no_memory)
        try_known(&s, ctx);
    if (!s.no_memory && s.n_missing > 0) {
        look_below(&s, directory, NEAR_ENTRIES);
        look_around(&s);
        remember(&s, ctx);
    }
    if (s.no_memory) {
        free(found[0]);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *ret = found[0];
    return 0;
}

/* Has the file that descriptor `number` of the process is lost its name, but has others? */
static void prepare_name(struct kobj_dump *ctx, int proc_fd, int at, const char *number,
                         const char *link)
{
    static const char mark[] = " (deleted)";
    size_t n = strlen(link);
    char *found = NULL;
    struct stat st;

    if (link[0] == '/' && n > strlen(mark) && strcmp(link + n - strlen(mark), mark) == 0 &&
        fstatat(at, number, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 0 &&
        inotify_find_name(ctx, proc_fd, link, &st, false, &found, NULL) == 0)
        free(found);
}

static void prepare_instance(struct kobj_dump *ctx, int proc_fd, const char *number)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ char *path = format_string("fdinfo/%s", number);
    char **paths = NULL;

    if (path && read_file(proc_fd, path, 64 << 20, &text) == 0 &&
        fdinfo_parse((const char *)text.data, &info) == 0 && info.watches.n > 0 &&
        inotify_find_paths(ctx, proc_fd, &info, &paths, NULL) == 0)
        inotify_free_paths(paths, info.watches.n);
}

void inotify_prepare(struct kobj_dump *ctx, int proc_fd)
{
    int fd = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        cleanup_close(&fd);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_free_ char *link = NULL;
        if (read_link(dirfd(dir), e->d_name, &link) < 0)
            continue;
        prepare_name(ctx, proc_fd, dirfd(dir), e->d_name, link);
        if (strcmp(link, "anon_inode:inotify") == 0 || strcmp(link, "anon_inode:[fanotify]") == 0)
            prepare_instance(ctx, proc_fd, e->d_name);
    }
}

void inotify_free_paths(char **paths, size_t n)
{
    for (size_t i = 0; paths && i < n; i++)
        free(paths[i]);
    free(paths);
}
