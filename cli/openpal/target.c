/* target.c - a process that is to be asked for a checkpoint */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/openpal/stand_in.h"
#include "cli/openpal/target.h"
#include "openpal/runtime/protocol.h"

void target_close(struct target *target)
{
    cleanup_close(&target->pidfd);
    bytes_clear(&target->environ_block);
}

/* ---- what /proc says ---- */

static const char *field(const char *status, const char *name)
{
    const char *line = strstr(status, name);

    return line ? line + strlen(name) : NULL;
}

static int read_status(pid_t pid, struct bytes *ret)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    return read_file(AT_FDCWD, path, 65536, ret);
}

/* The last of "NSpid:\t1234\t17" is the process's own number. */
static pid_t innermost_pid(const char *status, pid_t pid)
{
    const char *at = field(status, "\nNSpid:");
    long last = pid;

    while (at && *at != '\n' && *at) {
        char *end;
        long n = strtol(at, &end, 10);
        if (end == at)
            break;
        last = n;
        at = end;
    }
    return (pid_t)last;
}

static int read_target(struct target *t, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0};
    unsigned uid = 0, effective = 0;
    char path[64];
    int r = read_status(t->pid, &status);

    if (r < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", t->pid);
    const char *ids = field((const char *)status.data, "\nUid:");
    if (!ids || sscanf(ids, "%u %u", &uid, &effective) != 2)
        return crs_fail(err, CRS_FAILED, EIO, "can't see whose process %d is", t->pid);
    t->uid = effective;
    t->own_pid = innermost_pid((const char *)status.data, t->pid);
    snprintf(path, sizeof(path), "/proc/%d/environ", t->pid);
    read_file(AT_FDCWD, path, 4u << 20, &t->environ_block); /* it may be shut: then without */
    return 0;
}

char target_state(const struct target *target)
{
    _cleanup_bytes_ struct bytes status = {0};
    const char *state;

    if (read_status(target->pid, &status) < 0)
        return 0;
    state = field((const char *)status.data, "\nState:");
    return state ? state[strspn(state, " \t")] : 0;
}

#define PF_EXITING 4u /* the kernel's, in the 9th field of stat */

bool target_is_ending(const struct target *target)
{
    _cleanup_bytes_ struct bytes text = {0};
    unsigned flags = 0;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/stat", target->pid);
    if (read_file(AT_FDCWD, path, 4096, &text) < 0)
        return true;
    const char *rest = strrchr((const char *)text.data, ')');
    return rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && flags & PF_EXITING;
}

int target_check_runs(const struct target *target, struct crs_error *err)
{
    switch (target_state(target)) {
    case 'T':
        return crs_fail(err, CRS_CANT_CHECKPOINT, EBUSY,
                        "process %d is stopped, and can't take part: let it go on (kill -CONT %d), "
                        "or save it as it is with 'crs checkpoint %d'",
                        target->pid, target->pid, target->pid);
    case 't':
        return crs_fail(err, CRS_CANT_CHECKPOINT, EBUSY,
                        "process %d is held by a debugger: let that go first", target->pid);
    default:
        return 0;
    }
}

int target_open(pid_t pid, struct target *ret, struct crs_error *err)
{
    int r;

    pid = stand_in_program(pid);
    ret->pid = pid;
    ret->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ret->pidfd < 0 && errno == ESRCH)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", pid);
    if (ret->pidfd < 0)
        return crs_fail(err, CRS_NOT_FOUND, errno,
                        "%d is no process: it is a thread of another, perhaps", pid);
    r = read_target(ret, err);
    if (r < 0)
        return r;
    if (target_state(ret) == 'Z' || target_state(ret) == 'X')
        return crs_fail(err, CRS_NOT_FOUND, ESRCH,
                        "process %d has ended; only its parent hasn't looked at it yet", pid);
    if (ret->uid != geteuid() && geteuid() != 0)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "process %d belongs to user %u: only that user, or root, may checkpoint it",
                        pid, ret->uid);
    return target_check_runs(ret, err);
}

/* ---- where it listens ---- */

static const char *variable_of(const char *name, void *arg)
{
    const struct bytes *block = arg;
    size_t length = strlen(name);

    for (size_t at = 0; at < block->size;) {
        const char *v = (const char *)block->data + at;
        if (strncmp(v, name, length) == 0 && v[length] == '=')
            return v + length + 1;
        at += strlen(v) + 1; /* read_file() put a zero behind the last */
    }
    return NULL;
}

static const char *variable_of_ours(const char *name, void *arg)
{
    return getenv(name);
}

static bool connect_by_name(const struct target *target, const struct place *place,
                            uint64_t namespace, int *ret_conn)
{
    struct sockaddr_un address;
    char name[PLACE_NAME_SIZE];
    _cleanup_close_ int conn = -1;
    pid_t pid;
    uid_t uid;

    place_name_in(name, target->own_pid, namespace, "sock");
    if (place_address(place, name, &address, NULL) < 0 ||
        protocol_connect(address.sun_path, &conn) < 0)
        return false;
    /* Another process's, of another PID namespace with the same directory. */
    if (protocol_peer(conn, &pid, &uid) < 0 || pid != target->pid || uid != target->uid)
        return false;
    *ret_conn = TAKE_FD(conn);
    return true;
}

/* One that was restarted by others than us, in another PID namespace, has its first name there
 * until it is saved the next time. */
static bool connect_to(const struct target *target, const struct place *place, int *ret_conn)
{
    uint64_t namespace = place_namespace(target->pid);

    return connect_by_name(target, place, namespace, ret_conn) ||
           (namespace && connect_by_name(target, place, 0, ret_conn));
}

/* The mark is looked for after the connection failed: it is there before the socket goes. If it is
 * not, the socket may have come back in between. */
static bool look_into(const struct target *target, const struct place *place, int *ret_conn,
                      bool *ret_busy)
{
    *ret_busy = false;
    if (connect_to(target, place, ret_conn))
        return true;
    *ret_busy = place_is_busy(place, target->pid, target->own_pid);
    return *ret_busy || connect_to(target, place, ret_conn);
}

int target_find(const struct target *target, const char *tmp_dir, struct place *ret_place,
                int *ret_conn, bool *ret_busy, struct crs_error *err)
{
    for (unsigned i = 0; i < 2 * PLACE_CANDIDATES; i++) {
        bool ours = i < PLACE_CANDIDATES;
        _cleanup_place_ struct place place = PLACE_INIT;

        if (place_open_of(i % PLACE_CANDIDATES, target->uid, ours ? tmp_dir : NULL,
                          ours ? variable_of_ours : variable_of, (void *)&target->environ_block,
                          &place) < 0 ||
            !look_into(target, &place, ret_conn, ret_busy))
            continue;
        *ret_place = place;
        place.fd = -1;
        return 0;
    }
    if (target_is_ending(target)) /* its sockets are closed before its end can be seen */
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d ended before it was saved",
                        target->pid);
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOENT,
                    "process %d can't be asked: it has not called opal_init(), or has called "
                    "opal_finalize(); 'crs checkpoint %d' saves it without its help",
                    target->pid, target->pid);
}
