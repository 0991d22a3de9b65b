/*
 * recycling.c - two levels with TCP connections, restarted hundreds of times
 *
 * A restarted process has lost its connections: their numbers are free, while both levels remember
 * them. If the lower level connects anew before the upper one has closed what it remembers, then
 * the upper one closes the lower one's new connection. With OPAL_CRS_RESTART_PRE it doesn't: the
 * upper level shuts down, the lower restarts, the upper restarts. Without (`late`), it does: so
 * this program would see it.
 *
 * A server answers each connection with the name that it began with.
 *
 * part: no
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "opal/constants.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal_test.h"

#define N_CONNECTIONS 3
#define NAME_SIZE     32

static struct sockaddr_in address = {.sin_family = AF_INET};

/* ---- the server ---- */

static void serve_one(int fd)
{
    char name[NAME_SIZE], question;

    if (recv(fd, name, sizeof(name), MSG_WAITALL) != sizeof(name))
        _exit(0);
    while (recv(fd, &question, 1, 0) == 1)
        if (send(fd, name, sizeof(name), MSG_NOSIGNAL) != sizeof(name))
            break;
    _exit(0);
}

static pid_t start_server(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    pid_t pid = fork();
    if (pid != 0) {
        close(fd);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept(fd, NULL, NULL);
        if (connection >= 0 && fork() == 0)
            serve_one(connection);
        close(connection);
    }
}

/* ---- the levels ---- */

struct level {
    const char *name;
    opal_cr_coord_callback_fn_t below;
    int fds[N_CONNECTIONS]; /* -1: none */
};
static struct level lower = {"lower"}, upper = {"upper"};
static bool late; /* the upper level takes no notice of OPAL_CRS_RESTART_PRE */
static int cycle;

static void name_of(const struct level *l, int i, char name[NAME_SIZE])
{
    memset(name, 0, NAME_SIZE);
    snprintf(name, NAME_SIZE, "%s %d %d", l->name, i, cycle);
}

static void shut(struct level *l)
{
    for (int i = 0; i < N_CONNECTIONS; i++) {
        if (l->fds[i] >= 0)
            close(l->fds[i]);
        l->fds[i] = -1;
    }
}

static void connect_all(struct level *l)
{
    char name[NAME_SIZE];

    for (int i = 0; i < N_CONNECTIONS; i++) {
        l->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        name_of(l, i, name);
        CHECK(connect(l->fds[i], (struct sockaddr *)&address, sizeof(address)) == 0);
        CHECK(send(l->fds[i], name, sizeof(name), MSG_NOSIGNAL) == sizeof(name));
    }
}

/* Each connection is the one that it is held to be. */
static bool is_right(const struct level *l)
{
    char name[NAME_SIZE], answer[NAME_SIZE];

    for (int i = 0; i < N_CONNECTIONS; i++) {
        name_of(l, i, name);
        if (send(l->fds[i], "?", 1, MSG_NOSIGNAL) != 1 ||
            recv(l->fds[i], answer, sizeof(answer), MSG_WAITALL) != sizeof(answer) ||
            memcmp(name, answer, sizeof(name)) != 0)
            return false;
    }
    return true;
}

static int lower_level(int state)
{
    if (state == OPAL_CRS_RESTART_PRE)
        shut(&lower);
    if (state == OPAL_CRS_RESTART)
        connect_all(&lower);
    return lower.below(state);
}

static int upper_level(int state)
{
    int r;

    if (state == OPAL_CRS_RESTART_PRE && !late)
        shut(&upper);
    r = upper.below(state);
    if (state == OPAL_CRS_RESTART) {
        shut(&upper);
        connect_all(&upper);
    }
    return r;
}

/* ---- cycles ---- */

/* Saved; the image is woken, which has lost its connections, and the first one ends. */
static void restart(const char *handle)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    pid_t pid;

    snapshot->local_location = strdup(handle);
    CHECK(opal_crs.crs_restart(snapshot, true, &pid) == OPAL_SUCCESS);
    _exit(0);
}

/* The upper level has the numbers that the lower one will get first after the restart. */
static void connect_upper_first(void)
{
    shut(&upper);
    shut(&lower);
    connect_all(&upper);
    connect_all(&lower);
}

static void one_cycle(void)
{
    opal_crs_state_type_t state;
    char name[32], *handle = NULL;

    connect_upper_first();
    snprintf(name, sizeof(name), "cycle-%d", cycle & 1);
    cycle++; /* connections that are made at the restart bear it */
    CHECK(opal_cr_request_checkpoint(NULL, name, NULL, &handle, &state) == OPAL_SUCCESS);
    if (state == OPAL_CRS_CONTINUE)
        restart(handle);
    CHECK(state == OPAL_CRS_RESTART && opal_cr_restart_count() == cycle);
    free(handle);
}

/* Answers as the process of the last cycle: 0, all were right; 3, a connection was wrong. */
static void cycles(int n)
{
    CHECK(opal_init(NULL, NULL) == OPAL_SUCCESS);
    CHECK(opal_cr_reg_coord_callback(lower_level, &lower.below) == OPAL_SUCCESS);
    CHECK(opal_cr_reg_coord_callback(upper_level, &upper.below) == OPAL_SUCCESS);
    for (int i = 0; i < N_CONNECTIONS; i++)
        upper.fds[i] = lower.fds[i] = -1;
    while (cycle < n) {
        one_cycle();
        if (!is_right(&lower) || !is_right(&upper))
            _exit(3);
    }
    CHECK(opal_finalize() == OPAL_SUCCESS);
    FILE *file = fopen("cycles", "w");
    CHECK(file && fprintf(file, "%d\n", cycle) > 0 && fclose(file) == 0);
    _exit(0);
}

int main(int argc, char **argv)
{
    int n = atoi(argv[1]), status, wrong = 0;

    late = argc > 2;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* all generations come to us */
    pid_t server = start_server(), first = fork();
    if (first == 0)
        cycles(n);
    for (pid_t pid; (pid = wait(&status)) > 0;) {
        CHECK(pid != server);
        CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3));
        wrong += WEXITSTATUS(status) == 3;
        if (wrong || access("cycles", F_OK) == 0)
            break;
    }
    kill(server, SIGKILL);
    return wrong ? 3 : 0;
}
