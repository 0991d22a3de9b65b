/* ask.c - asking a process for a checkpoint of itself */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/openpal/ask.h"
#include "opal/mca/crs/base/base.h"
#include "openpal/runtime/protocol.h"

/* How often it is looked whether the process has been stopped meanwhile. */
#define LOOK_MS 500

#define AGAIN 1 /* the connection ended without an answer */

enum { CONN, REPLY, BACK, PROCESS, SIGNAL, CHANGE, N_FDS };

struct talk {
    const struct target *target;
    const struct ask *ask;
    struct ask_result *result;
    struct place place;
    struct pollfd fds[N_FDS];
    char reply[PLACE_NAME_SIZE]; /* of our socket; "": not there */
    uint64_t until_us;           /* 0: no limit */
    ino_t before;                /* of a snapshot that had the handle already; 0: there is none */
    bool over;
};

static void tell(const struct talk *t, enum ask_state state, const char *words)
{
    if (t->ask->each)
        t->ask->each(state, words, t->ask->arg);
}

static void drop(struct talk *t, int which)
{
    cleanup_close(&t->fds[which].fd);
    t->fds[which].fd = -1;
}

/* ---- our own socket ---- */

/* In the process's directory, which only its user and root can enter: so it may be open to all,
 * which it has to be where root asks a user's process. */
static int open_reply(struct talk *t, struct crs_error *err)
{
    static int number;
    mode_t old = umask(0);
    int r;

    snprintf(t->reply, sizeof(t->reply), "opal-checkpoint-%d-%d.sock", getpid(), number++);
    r = place_listen(&t->place, t->reply, &t->fds[REPLY].fd, err);
    umask(old);
    if (r < 0)
        t->reply[0] = '\0';
    return r;
}

static void close_reply(struct talk *t)
{
    if (t->reply[0])
        unlinkat(t->place.fd, t->reply, 0);
    t->reply[0] = '\0';
    drop(t, REPLY);
}

static int send_request(struct talk *t, struct crs_error *err)
{
    const struct ask *a = t->ask;
    struct protocol_request request = {PROTOCOL_MAGIC, PROTOCOL_VERSION, a->flags};
    struct sockaddr_un address = {0};
    int r;

    if (t->reply[0] && (r = place_address(&t->place, t->reply, &address, err)) < 0)
        return r;
    if (t->until_us) {
        uint64_t now = now_us();
        request.patience_ms = t->until_us > now ? (uint32_t)((t->until_us - now) / 1000) + 1 : 1;
    }
    snprintf(request.name, sizeof(request.name), "%s", a->name ? a->name : "");
    snprintf(request.where, sizeof(request.where), "%s", a->where ? a->where : "");
    snprintf(request.reply, sizeof(request.reply), "%.*s", (int)sizeof(address.sun_path),
             address.sun_path);
    r = protocol_send(t->fds[CONN].fd, &request, sizeof(request));
    if (r == -EPIPE || r == -ECONNRESET)
        return AGAIN;
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't ask process %d: %s", t->target->pid,
                            strerror(-r))
                 : 0;
}

/* ---- answers ---- */

static int fail_with(const struct protocol_answer *a, const struct talk *t, struct crs_error *err)
{
    tell(t, ASK_ERROR, a->words);
    return crs_fail(err, (enum crs_kind)a->kind, ECANCELED, "process %d: %s", t->target->pid,
                    a->words);
}

/* The directory of a complete snapshot; 0: there is none. */
static ino_t snapshot_inode(const char *handle)
{
    char path[PATH_MAX + 32];
    struct stat st;

    snprintf(path, sizeof(path), "%s/" CRS_METADATA_FILENAME, handle);
    return handle[0] && stat(path, &st) == 0 && stat(handle, &st) == 0 ? st.st_ino : 0;
}

static int take_answer(struct talk *t, const struct protocol_answer *a, struct crs_error *err)
{
    struct ask_result *result = t->result;

    if (a->handle[0])
        snprintf(result->handle, sizeof(result->handle), "%s", a->handle);
    switch ((enum protocol_event)a->event) {
    case PROTOCOL_ACCEPTED:
        t->before = snapshot_inode(result->handle);
        t->over = t->ask->flags & PROTOCOL_NOWAIT;
        return 0;
    case PROTOCOL_DELAYED:
        tell(t, ASK_PENDING, a->words);
        return 0;
    case PROTOCOL_SAVING:
        result->saving = true;
        tell(t, ASK_RUNNING, NULL);
        return 0;
    case PROTOCOL_ESTABLISHED:
        result->saving = result->established = true;
        tell(t, ASK_ESTABLISHED, NULL);
        return 0;
    case PROTOCOL_RECOVERED:
        tell(t, ASK_CONTINUING, NULL);
        break;
    case PROTOCOL_STOPPED:
        tell(t, ASK_STOPPED, NULL);
        break;
    case PROTOCOL_TERMINATED:
        tell(t, ASK_TERMINATED, NULL);
        break;
    default:
        t->over = true;
        return fail_with(a, t, err);
    }
    t->over = true;
    return 0;
}

/* ---- what can happen ---- */

/* A component may be asked to end each process that it saves: that says nothing any more, but its
 * snapshot is there, a new directory. */
static bool was_saved_and_ended(const struct talk *t)
{
    ino_t now = t->result->saving ? snapshot_inode(t->result->handle) : 0;

    return now && now != t->before;
}

static int process_ended(struct talk *t, struct crs_error *err)
{
    t->over = true;
    if (!t->result->established && was_saved_and_ended(t)) {
        t->result->established = true;
        tell(t, ASK_ESTABLISHED, NULL);
        tell(t, ASK_TERMINATED, NULL);
        return 0;
    }
    if (t->result->established)
        return t->ask->flags & PROTOCOL_TERM
                   ? 0
                   : crs_fail(err, CRS_FAILED, ESRCH,
                              "process %d was saved, and ended before it had gone on",
                              t->target->pid);
    tell(t, ASK_ERROR, "it has ended");
    return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d ended before it was saved",
                    t->target->pid);
}

/* One that is on its way out has closed its descriptors, and ends in a moment. */
static bool has_ended(const struct talk *t)
{
    struct pollfd process = {.fd = t->target->pidfd, .events = POLLIN};

    return poll(&process, 1, target_is_ending(t->target) ? -1 : 0) > 0;
}

static int take_signal(struct talk *t)
{
    struct signalfd_siginfo info;

    if (read(t->fds[SIGNAL].fd, &info, sizeof(info)) != sizeof(info))
        return 0;
    t->result->signal = (int)info.ssi_signo;
    t->over = true;
    return -EINTR;
}

static int timed_out(struct talk *t, struct crs_error *err)
{
    t->over = true;
    tell(t, ASK_ERROR, "the time is over");
    return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                    "process %d couldn't be saved in the time given; it goes on", t->target->pid);
}

/* Nothing has happened for a while. */
static int look_again(struct talk *t, struct crs_error *err)
{
    int r;

    if (t->result->saving)
        return 0;
    if (t->until_us && now_us() >= t->until_us + 1000000) /* it has a second to say so itself */
        return timed_out(t, err);
    r = target_check_runs(t->target, err);
    t->over = r < 0;
    return r;
}

static int wait_ms(const struct talk *t)
{
    if (t->until_us && !t->result->saving) {
        uint64_t now = now_us();
        uint64_t left = t->until_us > now ? (t->until_us - now) / 1000 + 1 : LOOK_MS;
        return left < LOOK_MS ? (int)left : LOOK_MS;
    }
    return LOOK_MS;
}

/* One packet of `which`. AGAIN: its end. */
static int take_packet(struct talk *t, int which, struct crs_error *err)
{
    struct protocol_answer answer;
    int r = protocol_receive_answer(t->fds[which].fd, &answer);

    if (r == -EAGAIN)
        return 0;
    if (r == 0)
        return take_answer(t, &answer, err);
    drop(t, which);
    if (r == -EPIPE)
        return AGAIN;
    t->over = true;
    return crs_fail(err, CRS_FAILED, -r,
                    "process %d gave an answer that isn't one: its library is of another version",
                    t->target->pid);
}

static int take_caller(struct talk *t)
{
    int fd = accept4(t->fds[REPLY].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    pid_t pid;
    uid_t uid;

    if (fd < 0)
        return 0;
    if (t->fds[BACK].fd >= 0 || protocol_peer(fd, &pid, &uid) < 0 || pid != t->target->pid ||
        uid != t->target->uid)
        close(fd);
    else
        t->fds[BACK].fd = fd;
    return 0;
}

/* In the order in which things are to be noticed: what the process said before it ended counts. */
static int take_events(struct talk *t, struct crs_error *err)
{
    int r = 0;

    if (t->fds[BACK].fd >= 0 && t->fds[BACK].revents)
        r = take_packet(t, BACK, err);
    else if (t->fds[CONN].fd >= 0 && t->fds[CONN].revents)
        r = take_packet(t, CONN, err);
    else if (t->fds[REPLY].fd >= 0 && t->fds[REPLY].revents)
        r = take_caller(t);
    else if (t->fds[SIGNAL].revents)
        r = take_signal(t);
    else if (t->fds[PROCESS].revents)
        r = process_ended(t, err);
    return r;
}

/* 0, AGAIN, or an error. */
static int converse(struct talk *t, struct crs_error *err)
{
    int r = send_request(t, err);

    while (r == 0 && !t->over) {
        int n = poll(t->fds, CHANGE, wait_ms(t));
        r = n > 0 ? take_events(t, err) : look_again(t, err);
        if (r == AGAIN && t->result->saving)
            r = 0; /* as it has to be: the rest comes to our own socket */
    }
    return r;
}

/* ---- until it listens ---- */

static int wait_for_change(struct talk *t, struct crs_error *err)
{
    char events[4096];
    struct pollfd *f = t->fds;

    while (!t->over) {
        f[CHANGE].revents = f[PROCESS].revents = f[SIGNAL].revents = 0;
        int n = poll(f + PROCESS, N_FDS - PROCESS, wait_ms(t));
        if (n > 0 && f[CHANGE].revents) {
            (void)!read(f[CHANGE].fd, events, sizeof(events));
            return 0;
        }
        if (n > 0)
            return take_events(t, err);
        int r = look_again(t, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int refuse_busy(struct talk *t, struct crs_error *err)
{
    t->over = true;
    return crs_fail(err, CRS_BUSY, EBUSY,
                    "another checkpoint of process %d is under way: ask again later",
                    t->target->pid);
}

static int watch(struct talk *t, struct crs_error *err)
{
    t->fds[CHANGE].fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (t->fds[CHANGE].fd < 0 ||
        inotify_add_watch(t->fds[CHANGE].fd, t->place.path,
                          IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't watch %s", t->place.path);
    return 0;
}

/* One look, and what follows from it: 0 (over), AGAIN or an error. */
static int attempt(struct talk *t, bool *told, struct crs_error *err)
{
    bool busy = false, watched = t->fds[CHANGE].fd >= 0;
    int r;

    place_close(&t->place);
    r = target_find(t->target, t->ask->tmp_dir, &t->place, &t->fds[CONN].fd, &busy, err);
    if (r < 0)
        return has_ended(t) ? process_ended(t, err) : r;
    if (busy && t->ask->flags & PROTOCOL_NOWAIT)
        return refuse_busy(t, err);
    if (busy && !watched)
        return (r = watch(t, err)) < 0 ? r
                                       : AGAIN; /* look once more, now that no change is missed */
    if (busy) {
        if (!*told)
            tell(t, ASK_PENDING, "another checkpoint of it is under way");
        *told = true;
        r = wait_for_change(t, err);
        return r < 0 || t->over ? r : AGAIN;
    }
    r = t->ask->flags & PROTOCOL_NOWAIT ? 0 : open_reply(t, err);
    if (r == 0)
        r = converse(t, err);
    close_reply(t);
    drop(t, CONN);
    return r;
}

static int open_signals(struct talk *t, struct crs_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    t->fds[SIGNAL].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return t->fds[SIGNAL].fd < 0 ? crs_fail_errno(err, CRS_FAILED, "can't watch signals") : 0;
}

/* Stopped or ended: not before that is to be seen does the caller go on. Or it has been continued
 * by somebody already: then it says so. */
static void wait_for_end(const struct talk *t)
{
    struct pollfd fds[] = {{.fd = t->target->pidfd, .events = POLLIN},
                           {.fd = t->fds[BACK].fd, .events = POLLIN}};

    if (t->ask->flags & PROTOCOL_TERM)
        poll(fds, 1, -1);
    while (t->ask->flags & PROTOCOL_STOP && target_state(t->target) != 'T' && poll(fds, 2, 1) == 0)
        ;
}

int ask_process(const struct target *target, const struct ask *ask, struct ask_result *ret,
                struct crs_error *err)
{
    struct talk t = {.target = target, .ask = ask, .result = ret, .place = PLACE_INIT};
    bool told = false;
    int r;

    for (int i = 0; i < N_FDS; i++)
        t.fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    t.fds[PROCESS].fd = target->pidfd;
    if (ask->timeout_ms)
        t.until_us = now_us() + ask->timeout_ms * 1000;
    tell(&t, ASK_REQUESTED, NULL);
    r = open_signals(&t, err);
    if (r == 0)
        do
            r = attempt(&t, &told, err);
        while (r == AGAIN);
    if (r == 0 && ret->established)
        wait_for_end(&t);
    t.fds[PROCESS].fd = -1; /* the target's own */
    for (int i = 0; i < N_FDS; i++)
        drop(&t, i);
    place_close(&t.place);
    return r;
}
