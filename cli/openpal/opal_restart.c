/* opal_restart.c - bring back a process that Open PAL has saved */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/tool.h"
#include "cli/openpal/parameters.h"
#include "cli/openpal/snapshots.h"
#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/util/argv.h"
#include "openpal/runtime/environment.h"

struct arguments {
    bool verbose, spawn, info;
    const char *where;
};

enum { VERBOSE = 1, FORK, WHERE, INFO };

static const struct tool_option options[] = {
    {"where", 'w', WHERE, TOOL_VALUE, .metavar = "DIR", .words = "@dir",
     .help = "the snapshot HANDLE is in DIR"},
    {"fork", 0, FORK, .help = "as a new process, whose PID is printed; not in the tool's place"},
    {"info", 'i', INFO, .help = "show what the snapshot is, and restart nothing"},
    {"verbose", 'v', VERBOSE, .help = "say what is done"},
    {"help", 'h', TOOL_HELP, .help = "show this help (as -?)"},
    {"version", 0, TOOL_VERSION, .help = "show the version"},
    {0},
};

static int take(void *arguments, int id, const char *value);

static const struct tool tool = {
    .name = "opal-restart",
    .manual = "opal_restart",
    .summary = "Bring back a process that Open PAL has saved",
    .synopsis = "[-mca NAME VALUE]... [OPTION...] HANDLE",
    .operands = "@dir",
    .options = options,
    .usage = CRS_USAGE,
    .take = take,
};

static int take(void *arguments, int id, const char *value)
{
    struct arguments *a = arguments;

    if (id == WHERE)
        a->where = value;
    else if (id == FORK)
        a->spawn = true;
    else if (id == INFO)
        a->info = true;
    else if (id == VERBOSE)
        a->verbose = true;
    return TOOL_GO_ON;
}

static int fail(const struct crs_error *error)
{
    fprintf(stderr, "opal-restart: %s\n", error->text);
    return error->kind == CRS_OK ? CRS_FAILED : (int)error->kind;
}

/* ---- what the metadata asks for ---- */

static int make_directory(const char *path, struct crs_error *err)
{
    _cleanup_free_ char *copy = strdup(path);

    for (char *at = copy ? copy + 1 : NULL; at && (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(copy, 0777);
        *at = '/';
    }
    if (!copy || (mkdir(copy, 0777) < 0 && errno != EEXIST))
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't make the directory %s, which the "
                              "program needs",
                              path);
    return 0;
}

static int make_file(const char *path, struct crs_error *err)
{
    _cleanup_close_ int fd =
        open(path, O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0666);

    return fd < 0 ? crs_fail_errno(err, CRS_CANT_RESTART,
                                   "can't make the file %s, which the program needs", path)
                  : 0;
}

static int make_each(const char *location, const char *token,
                     int (*make)(const char *, struct crs_error *), struct crs_error *err)
{
    char **values = NULL;
    int r = 0;

    if (opal_crs_base_metadata_read_token(location, token, &values) != OPAL_SUCCESS)
        return 0;
    for (char **v = values; *v && r == 0; v++)
        r = **v == '/'
                ? make(*v, err)
                : crs_fail(err, CRS_DAMAGED, EINVAL,
                           "the snapshot's metadata asks for '%s', which is no absolute path", *v);
    opal_argv_free(values);
    return r;
}

/* ---- the component ---- */

/* The one that made the snapshot, whatever the parameter says. */
static int select_component(const struct snapshot_info *info, struct crs_error *err)
{
    int r = mca_base_param_set_string(mca_base_param_find("crs", NULL, NULL), info->component);

    if (r == OPAL_SUCCESS)
        r = opal_crs_base_select();
    if (r != OPAL_SUCCESS || !opal_crs.crs_restart)
        return crs_fail(err, CRS_CANT_RESTART, ENOSYS,
                        "the snapshot was made by the component %s, which can't run here",
                        info->component);
    return 0;
}

static enum crs_kind kind_of(int code)
{
    switch (code) {
    case OPAL_ERR_PERM:
        return CRS_NOT_PERMITTED;
    case OPAL_ERR_FILE_READ_FAILURE:
    case OPAL_ERR_BAD_PARAM:
        return CRS_DAMAGED;
    case OPAL_ERR_RESOURCE_BUSY:
        return CRS_BUSY;
    default:
        return CRS_CANT_RESTART;
    }
}

/* ---- the environment ---- */

struct handover {
    struct place place;
    char name[PLACE_NAME_SIZE];
};

/* Without it the program goes on with the environment that it had. One that is started anew has
 * ours. */
static void hand_over(const struct snapshot_info *info, const struct arguments *a,
                      struct handover *ret)
{
    struct crs_error error = {0};

    if (!info->id || !info->place || strcmp(info->component, "self") == 0)
        return;
    if (place_open_at(info->place, &ret->place, &error) < 0 ||
        environment_write(&ret->place, info->id, ret->name, &error) < 0) {
        ret->name[0] = '\0';
        if (a->verbose)
            fprintf(stderr, "opal-restart: the program keeps its environment: %s\n", error.text);
    }
}

static void take_back(struct handover *h)
{
    if (h->name[0])
        environment_remove(&h->place, h->name);
    place_close(&h->place);
}

/* Until the process has taken it, or has ended: after us, others may remove it. */
static void wait_until_taken(const struct handover *h, pid_t pid)
{
    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    _cleanup_close_ int process = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd fds[] = {{.fd = watch, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    char events[4096];

    if (!h->name[0] || process < 0 || watch < 0 ||
        inotify_add_watch(watch, h->place.path, IN_DELETE | IN_MOVED_FROM) < 0)
        return;
    while (faccessat(h->place.fd, h->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        poll(fds, 2, -1);
        if (fds[1].revents)
            return;
        (void)!read(watch, events, sizeof(events));
    }
}

/* ---- the restart ---- */

static int restart(const struct snapshot_info *info, const struct arguments *a,
                   struct crs_error *err)
{
    struct handover handover = {.place = PLACE_INIT};
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    pid_t pid = 0;
    int r;

    if (!snapshot)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    snapshot->component_name = strdup(info->component);
    snapshot->reference_name = strdup(strrchr(info->path, '/') + 1);
    snapshot->local_location = strdup(info->path);
    snapshot->cold_start = true;
    hand_over(info, a, &handover);
    fflush(NULL);
    opal_crs_base_clear_failure();
    r = opal_crs.crs_restart(snapshot, a->spawn, &pid);
    if (r == OPAL_SUCCESS && pid > 0) {
        printf("%d\n", pid);
        fflush(stdout);
        wait_until_taken(&handover, pid);
    }
    take_back(&handover);
    OBJ_RELEASE(snapshot);
    if (r != OPAL_SUCCESS)
        return crs_fail(err, kind_of(r), EIO, "%s: %s", info->path,
                        *opal_crs_base_failure() ? opal_crs_base_failure() : opal_strerror(r));
    if (pid <= 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOENT,
                        "%s was made by the component %s, which saves nothing: there is nothing to "
                        "restart",
                        info->path, info->component);
    return 0;
}

static int run(const struct arguments *a, const char *handle, struct crs_error *err)
{
    _cleanup_snapshot_info_ struct snapshot_info info = {0};
    _cleanup_free_ char *path = NULL;
    int r = snapshot_find(handle, a->where, &path, err);

    if (r == 0)
        r = snapshot_read(path, &info, err);
    if (r == 0 && a->info) {
        snapshot_print(&info);
        return 0;
    }
    if (r == 0)
        r = select_component(&info, err);
    if (r == 0 && a->verbose)
        fprintf(stderr, "opal-restart: %s, PID %d, by the component %s\n", path, info.pid,
                info.component);
    if (r == 0)
        r = make_each(path, CRS_METADATA_MKDIR, make_directory, err);
    if (r == 0)
        r = make_each(path, CRS_METADATA_TOUCH, make_file, err);
    return r < 0 ? r : restart(&info, a, err);
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    struct tool_operands operands;
    struct crs_error error = {0};
    int r;

    if (parameters_open(&argc, &argv, true, &error) < 0)
        return fail(&error);
    r = tool_parse(&tool, argc, argv, &a, &operands);
    if (r == TOOL_GO_ON && operands.n != 1)
        r = tool_usage(&tool, "one HANDLE is needed");
    if (r == TOOL_GO_ON)
        r = run(&a, operands.items[0], &error) < 0 ? fail(&error) : 0;
    parameters_close();
    return r;
}
