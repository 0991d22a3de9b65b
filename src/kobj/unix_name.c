/* unix_name.c - the names of unix sockets, as they are at a checkpoint */
#include <ctype.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/unix_socket.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89e0 /* <linux/un.h> collides with <sys/un.h> */
#endif

#define NAME_OFFSET offsetof(struct sockaddr_un, sun_path)

bool unix_name_is_abstract(const ProtobufCBinaryData *name)
{
    return name->len > 0 && name->data[0] == 0;
}

const char *unix_name_words(const ProtobufCBinaryData *name, char *text, size_t size)
{
    size_t n = name->len < size - 1 ? name->len : size - 1;

    for (size_t i = 0; i < n; i++)
        text[i] = name->data[i] == 0 ? '@' : isprint(name->data[i]) ? name->data[i] : '?';
    text[n] = 0;
    return text;
}

socklen_t unix_address(const ProtobufCBinaryData *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t n = name->len < sizeof(ret->sun_path) ? name->len : sizeof(ret->sun_path);
    memcpy(ret->sun_path, name->data, n);
    return NAME_OFFSET + n;
}

int unix_name_copy(const struct sockaddr_un *address, socklen_t size, ProtobufCBinaryData *ret)
{
    size_t n = size > NAME_OFFSET ? size - NAME_OFFSET : 0;

    if (n > sizeof(address->sun_path))
        n = sizeof(address->sun_path);
    if (n > 0 && address->sun_path[0])
        n = strnlen(address->sun_path, n);
    if (n == 0)
        return 0;
    ret->data = malloc(n);
    if (!ret->data)
        return -ENOMEM;
    memcpy(ret->data, address->sun_path, n);
    ret->len = n;
    return 0;
}

/* ---- shared ---- */

static bool is_same_name(const struct unix_entry *a, const struct unix_entry *b)
{
    return a->name.size == b->name.size && a->has_file == b->has_file &&
           a->file_inode == b->file_inode && a->file_dev == b->file_dev &&
           memcmp(a->name.data, b->name.data, a->name.size) == 0;
}

/* A name belongs to one socket; those that it accepts carry it as well. Where several do and none
 * listens, the one that did is gone. */
static bool is_shared(const struct unix_table *table, const struct unix_entry *own)
{
    if (own->listening || own->type == SOCK_DGRAM || !own->connected)
        return false;
    for (size_t i = 0; i < table->entries.n; i++) {
        const struct unix_entry *e = &table->entries.items[i];
        if (e != own && (e->listening || e->connected) && is_same_name(e, own))
            return true;
    }
    return false;
}

/* ---- the file ---- */

/* With CAP_NET_ADMIN the kernel tells where the file is, wherever the program has gone since. */
static char *directory_by_kernel(const struct open_file *file, const char *name)
{
    _cleanup_close_ int fd = ioctl(file->dup_fd, SIOCUNIXFILE);
    char link[64];
    char *path = NULL;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (fd < 0 || read_link(AT_FDCWD, link, &path) < 0)
        return NULL;
    size_t n = strlen(path), tail = strlen(name);
    if (n > tail + 1 && path[n - tail - 1] == '/' && strcmp(path + n - tail, name) == 0) {
        path[n - tail - 1] = 0;
        return path;
    }
    free(path);
    return NULL;
}

static int find_directory(struct kobj_dump *ctx, const struct open_file *file, const char *name,
                          Crs__UnixSocket *m, struct crs_error *err)
{
    const struct tracee *t = file->in_flight ? ctx->t : file->holder;
    char *directory = directory_by_kernel(file, name);

    if (!directory && read_link(t->proc_fd, "cwd", &directory) < 0)
        return file_refuse_errno(file, err, "tell in which directory its name is");
    m->directory = directory;
    return 0;
}

/* Overlay file systems show another device than the kernel's own. */
static bool is_file_of(const struct unix_table *table, const struct unix_entry *entry,
                       const struct stat *st)
{
    if (!S_ISSOCK(st->st_mode))
        return false;
    if (!table->exact)
        return true;
    return entry->has_file &&
           (st->st_dev != entry->file_dev || (uint32_t)st->st_ino == entry->file_inode);
}

static int dump_file(struct kobj_dump *ctx, const struct open_file *file,
                     const struct unix_entry *entry, const char *name, Crs__UnixSocket *m,
                     struct crs_error *err)
{
    _cleanup_free_ char *path =
        name[0] == '/' ? strdup(name) : format_string("%s/%s", m->directory, name);
    struct stat st;

    if (!path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (m->name_shared || lstat(path, &st) < 0 || !is_file_of(ctx->unix_table, entry, &st))
        return 0;
    m->file = malloc(sizeof(*m->file));
    if (!m->file)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__unix_file__init(m->file);
    m->file->mode = st.st_mode & 07777;
    m->file->uid = st.st_uid;
    m->file->gid = st.st_gid;
    return 0;
}

/* Removed, or the program has gone elsewhere since. It matters where others may come by the name.
 */
static void warn_lost(struct kobj_dump *ctx, const struct open_file *file,
                      const struct unix_entry *entry, const char *name, const Crs__UnixSocket *m)
{
    char words[80];

    if (entry->listening && !m->file && name[0] != '/')
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s listens as %s, which isn't found in %s: it comes back without that file",
                  file_words(file, words, sizeof(words)), name, m->directory);
}

int unix_name_dump(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                   struct crs_error *err)
{
    const struct unix_entry *entry = unix_table_find(ctx->unix_table, file->st.st_ino);
    struct sockaddr_un address;
    socklen_t size = sizeof(address);

    if (getsockname(file->dup_fd, (struct sockaddr *)&address, &size) < 0)
        return file_refuse_errno(file, err, "read its name");
    if (unix_name_copy(&address, size, &m->name) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (m->name.len == 0)
        return 0;
    m->name_shared = is_shared(ctx->unix_table, entry);
    if (unix_name_is_abstract(&m->name))
        return 0;
    _cleanup_free_ char *name = strndup((char *)m->name.data, m->name.len);
    if (!name)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = name[0] == '/' ? 0 : find_directory(ctx, file, name, m, err);
    if (r == 0)
        r = dump_file(ctx, file, entry, name, m, err);
    if (r == 0)
        warn_lost(ctx, file, entry, name, m);
    return r;
}
