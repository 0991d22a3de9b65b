/*
 * inotify_paths.c - paths of what an inotify instance watches
 *
 * With CAP_DAC_READ_SEARCH a directory can be opened by its file handle. Without it the inode is
 * looked for where it is likely: where the program is and has files open, above these, in its home
 * and the usual directories for what changes, then everywhere on the file system, up to a number of
 * entries that takes a fraction of a second. Names are compared by the inode numbers that
 * readdir(3) gives, so that only directories are opened.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "kobj/inotify_paths.h"

#define NEAR_ENTRIES 20000u  /* to look at below each likely place */
#define FAR_ENTRIES  200000u /* to look at below all others */

struct mount {
    int id;
    dev_t device;
    char *path;
};

struct search {
    const struct fdinfo *info;
    char **found;
    size_t n_missing;
    ARRAY_OF(struct mount) mounts;
    ARRAY_OF(char *) queue; /* directories to be looked through */
    size_t next;            /* of these */
    size_t n_entries;       /* looked at */
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

/* By its handle, which no other inode of the file system has, ever; by number where there are no
 * handles. (stat(2) gives another device than the superblock's on some file systems.) */
static bool leads_to(const struct search *s, const struct fdinfo_watch *w, const char *path)
{
    union {
        struct file_handle handle;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } u = {.handle.handle_bytes = MAX_HANDLE_SZ};
    struct stat st;
    int id;

    if (w->handle_size > 0 && name_to_handle_at(AT_FDCWD, path, &u.handle, &id, 0) == 0) {
        const struct mount *m = find_mount(s, id);
        return m && m->device == w->device && u.handle.handle_bytes == w->handle_size &&
               u.handle.handle_type == w->handle_type &&
               memcmp(u.handle.f_handle, w->handle, w->handle_size) == 0;
    }
    return lstat(path, &st) == 0 && st.st_dev == w->device && st.st_ino == w->ino;
}

static void try_path(struct search *s, size_t i, const char *path)
{
    if (s->found[i] || !leads_to(s, &s->info->watches.items[i], path))
        return;
    s->found[i] = strdup(path);
    s->no_memory |= !s->found[i];
    s->n_missing -= !!s->found[i];
}

/* ---- mounts ---- */

/* "22 28 0:21 / /proc rw,nosuid - ..."; blanks in the path are \040 */
static int parse_mount(char *line, struct mount *ret)
{
    unsigned major_number, minor_number;
    char path[4096];
    size_t n = 0;

    if (sscanf(line, "%d %*d %u:%u %*s %4095s", &ret->id, &major_number, &minor_number, path) != 4)
        return 0;
    for (const char *p = path; *p; n++) {
        unsigned code;
        if (*p == '\\' && sscanf(p, "\\%3o", &code) == 1) {
            path[n] = code;
            p += 4;
        } else {
            path[n] = *p++;
        }
    }
    path[n] = 0;
    ret->device = makedev(major_number, minor_number);
    ret->path = strdup(path);
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
            try_path(s, i, path);
    }
}

/* ---- look through directories ---- */

static void try_all(struct search *s, const char *path)
{
    for (size_t i = 0; i < s->info->watches.n; i++)
        try_path(s, i, path);
}

static void try_inode(struct search *s, ino_t ino, const char *path)
{
    for (size_t i = 0; i < s->info->watches.n; i++)
        if (s->info->watches.items[i].ino == ino)
            try_path(s, i, path);
}

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

static void look_at_files(struct search *s, const struct kobj_dump *ctx)
{
    for (size_t i = 0; i < ctx->files.n && s->n_missing > 0; i++)
        if (ctx->files.items[i].link[0] == '/')
            try_upwards(s, ctx->files.items[i].link);
    for (size_t i = 0; i < ctx->files.n && s->n_missing > 0; i++) {
        const struct open_file *f = &ctx->files.items[i];
        if (f->link[0] != '/' || !(S_ISREG(f->st.st_mode) || S_ISDIR(f->st.st_mode)))
            continue;
        _cleanup_free_ char *directory =
            S_ISDIR(f->st.st_mode) ? strdup(f->link) : parent_of(f->link);
        s->no_memory |= !directory;
        if (directory)
            look_below(s, directory, NEAR_ENTRIES);
    }
}

static void look_at_environment(struct search *s, const struct kobj_dump *ctx)
{
    static const char *const names[] = {"HOME=", "TMPDIR=", "XDG_RUNTIME_DIR=", "PWD="};
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(ctx->t->proc_fd, "environ", 4 << 20, &text) < 0)
        return;
    const char *end = (const char *)text.data + text.size;
    for (const char *p = (const char *)text.data; p < end; p += strlen(p) + 1)
        for (size_t i = 0; i < ELEMENTS(names); i++)
            if (strncmp(p, names[i], strlen(names[i])) == 0)
                look_below(s, p + strlen(names[i]), NEAR_ENTRIES);
}

static void look_around(struct search *s, const struct kobj_dump *ctx)
{
    static const char *const usual[] = {"/dev", "/dev/shm", "/tmp",     "/var/tmp",  "/run",
                                        "/etc", "/var/log", "/var/lib", "/var/spool"};
    _cleanup_free_ char *cwd = NULL, *exe = NULL;
    bool has_cwd = read_link(ctx->t->proc_fd, "cwd", &cwd) == 0;

    if (has_cwd)
        try_upwards(s, cwd);
    if (read_link(ctx->t->proc_fd, "exe", &exe) == 0)
        try_upwards(s, exe);
    if (has_cwd)
        look_below(s, cwd, NEAR_ENTRIES);
    look_at_files(s, ctx);
    look_at_environment(s, ctx);
    for (size_t i = 0; i < ELEMENTS(usual); i++)
        look_below(s, usual[i], NEAR_ENTRIES);
    for (size_t i = 0; i < s->mounts.n; i++)
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

int inotify_find_paths(struct kobj_dump *ctx, const struct fdinfo *info, char ***ret_paths,
                       struct crs_error *err)
{
    _cleanup_(search_clear) struct search s = {.info = info, .n_missing = info->watches.n};

    s.found = calloc(info->watches.n + 1, sizeof(*s.found));
    s.no_memory = !s.found || list_mounts(&s) < 0;
    for (size_t i = 0; !s.no_memory && i < info->watches.n; i++)
        try_handle(&s, i);
    if (!s.no_memory)
        look_around(&s, ctx);
    if (s.no_memory) {
        inotify_free_paths(s.found, info->watches.n);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *ret_paths = s.found;
    return 0;
}

void inotify_free_paths(char **paths, size_t n)
{
    for (size_t i = 0; paths && i < n; i++)
        free(paths[i]);
    free(paths);
}
