/* checkpoint_writer.c - where a checkpoint is written to */
#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "engine/checkpoint_writer.h"
#include "engine/pace.h"

#define MAX_TRIES 20

/* "python3-1234" for a process without a name of its own in the store. */
static char *default_name(pid_t pid)
{
    _cleanup_bytes_ struct bytes comm = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (read_file(AT_FDCWD, path, 256, &comm) < 0)
        return format_string("process-%d", pid);
    comm.data[strcspn((char *)comm.data, "\n")] = 0;
    for (char *p = (char *)comm.data; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+", *p))
            *p = '_';
    return format_string("%s%s-%d", strchr("._-+", comm.data[0]) ? "p" : "", (char *)comm.data,
                         pid);
}

static int choose_path(pid_t pid, const struct crs_checkpoint_options *o,
                       struct crs_checkpoint_result *ret, struct crs_error *err)
{
    unsigned seq;

    if (o->output || o->stream_fd) {
        ret->path = strdup(o->output ? o->output : "-");
        return ret->path ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    _cleanup_free_ char *name = o->name ? strdup(o->name) : default_name(pid);
    if (!name)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = store_next_path(o->store, name, &ret->path, &seq, err);
    if (r < 0)
        return r;
    ret->name = format_string("%s@%u", name, seq);
    return ret->name ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static int open_form(const struct crs_checkpoint_options *o, uint64_t deadline_us, const char *path,
                     struct store_writer **ret, struct crs_error *err)
{
    const struct store_patience patience = {o->cancel, deadline_us};

    if (o->stream_fd)
        return store_writer_open_fd(o->stream_fd, path, o->compress, &patience, ret, err);
    if (o->form == CRS_FORM_STREAM)
        return store_writer_open_file(path, o->compress, &patience, ret, err);
    return store_writer_open(path, o->compress, ret, err);
}

/* Two checkpoints of one name at a time may choose the same number: the later takes the next. Or
 * the directory goes in between with one that failed. */
int checkpoint_open_writer(pid_t pid, const struct crs_checkpoint_options *options,
                           uint64_t deadline_us, struct crs_checkpoint_result *ret,
                           struct store_writer **ret_writer, struct crs_error *err)
{
    for (int tries = 0;; tries++) {
        int r = choose_path(pid, options, ret, err);
        if (r == 0)
            r = open_form(options, deadline_us, ret->path, ret_writer, err);
        if ((r != -EEXIST && r != -ENOENT) || options->output || options->stream_fd ||
            tries == MAX_TRIES) {
            if (r == 0)
                pace_set(options, deadline_us, *ret_writer);
            if (r == 0 && options->key_file)
                r = store_writer_encrypt(*ret_writer, options->key_file, err);
            return r;
        }
        crs_checkpoint_result_clear(ret);
    }
}
