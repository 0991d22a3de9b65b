/*
 * pty_session.c - pseudoterminals that are the controlling terminals of sessions inside: of a shell
 * with a job in the foreground and one behind it; of a process whose only way to it is /dev/tty; of
 * one whose foreground job has ended
 */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include "victim_tree.h"

#define ROWS    31
#define COLUMNS 97

static int masters[3], n_masters; /* when a session is made, */
static int slave, tty;            /* and what its leader has */
static volatile sig_atomic_t n_hangups, n_interrupts, n_windows;
static struct tree_child front, behind;

static void count(int signal)
{
    n_hangups += signal == SIGHUP;
    n_interrupts += signal == SIGINT;
    n_windows += signal == SIGWINCH;
}

static long take_count(volatile sig_atomic_t *n)
{
    long taken = *n;

    *n = 0;
    return taken;
}

/* ---- in a session ---- */

/* What is not as it is to be for one whose terminal has that group in the foreground, as bits. */
static long look(int fd, pid_t foreground)
{
    int own = open("/dev/tty", O_RDWR | O_NOCTTY);
    struct winsize size = {0};
    long wrong = own < 0 ? 1 : 0;

    close(own);
    wrong |= tcgetsid(fd) == getsid(0) ? 0 : 2;
    wrong |= tcgetpgrp(fd) == foreground ? 0 : 4;
    wrong |= ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row == ROWS ? 0 : 8;
    return wrong;
}

static void lead_session(void)
{
    while (n_masters > 0)
        close(masters[--n_masters]);
    MUST(setsid() == getpid() && ioctl(slave, TIOCSCTTY, 0) == 0);
}

static void job(char command, struct tree_answer *a)
{
    a->value = 0;
    if (command == 'g')
        MUST(setpgid(0, 0) == 0);
    else if (command == 'f')
        a->value = look(slave, getpgrp());
    else if (command == 'b')
        a->value = tcgetpgrp(slave) == getpgrp();
    else if (command == 'i')
        a->value = take_count(&n_interrupts);
}

static struct tree_child start_job(void)
{
    struct tree_child child = tree_start(job);

    tree_ask(&child, 'g');
    return child;
}

/* Its jobs answer by it. */
static void shell(char command, struct tree_answer *a)
{
    a->value = 0;
    if (command == 'S') {
        lead_session();
        front = start_job();
        behind = start_job();
        MUST(tcsetpgrp(slave, tree_ask(&front, 'p').pid) == 0);
    } else if (command == 's') {
        a->value = look(slave, tree_ask(&front, 'p').pid);
    } else if (command == 'f') {
        a->value = tree_ask(&front, 'f').value;
    } else if (command == 'b') {
        a->value = tree_ask(&behind, 'b').value;
    } else if (command == 'i') {
        a->value = tree_ask(&front, 'i').value + 100 * tree_ask(&behind, 'i').value +
                   10000 * take_count(&n_interrupts);
    } else if (command == 'q') {
        a->value = tree_end(&front) | tree_end(&behind);
    }
}

static void alone(char command, struct tree_answer *a)
{
    char data[16] = "";
    struct stat st;

    a->value = 0;
    if (command == 'S') {
        lead_session();
        tty = open("/dev/tty", O_RDWR);
        MUST(tty >= 0 && close(slave) == 0);
    } else if (command == 's') {
        a->value =
            look(tty, getpgrp()) | (fstat(tty, &st) == 0 && st.st_rdev == makedev(5, 0) ? 0 : 16);
    } else if (command == 'r') {
        a->value = read(tty, data, sizeof(data)) == 4 && memcmp(data, "abc\n", 4) == 0;
    } else if (command == 'w') {
        a->value = take_count(&n_windows);
    } else if (command == 'h') {
        a->value = n_hangups;
    }
}

static void deserted(char command, struct tree_answer *a)
{
    a->value = 0;
    if (command == 'S') {
        lead_session();
        front = start_job();
        MUST(tcsetpgrp(slave, tree_ask(&front, 'p').pid) == 0 && tree_end(&front) == 0);
    } else if (command == 's') {
        a->value = tcgetsid(slave) == getsid(0) ? 0 : 1;
        a->value |= tcgetpgrp(slave) == getpgrp() ? 2 : 0;
    } else if (command == 'i') {
        a->value = take_count(&n_interrupts);
    }
}

/* ---- outside of them ---- */

struct session {
    int master;
    struct tree_child leader;
};

static struct session start_session(tree_act act)
{
    const struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};

    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    masters[n_masters++] = master;
    MUST(slave >= 0 && ioctl(master, TIOCSWINSZ, &size) == 0);
    struct session s = {.master = master, .leader = tree_start(act)};
    close(slave);
    tree_ask(&s.leader, 'S');
    return s;
}

/* Type that, and wait for its echo: then it has arrived. */
static void type(const struct session *s, const char *keys, const char *echo)
{
    struct pollfd p = {.fd = s->master, .events = POLLIN};
    char data[64] = "";
    size_t got = 0;

    CHECK_EQ(write(s->master, keys, strlen(keys)), strlen(keys));
    while (got < strlen(echo) && poll(&p, 1, 60000) == 1) {
        ssize_t n = read(s->master, data + got, sizeof(data) - 1 - got);
        if (n <= 0)
            break;
        got += n;
    }
    CHECK(strcmp(data, echo) == 0);
}

static void resize(const struct session *s, unsigned short rows)
{
    const struct winsize size = {.ws_row = rows, .ws_col = COLUMNS};

    CHECK(ioctl(s->master, TIOCSWINSZ, &size) == 0);
}

static void check_shell(const struct session *s)
{
    CHECK_EQ(tree_ask(&s->leader, 's').value, 0);
    CHECK_EQ(tree_ask(&s->leader, 'f').value, 0);
    CHECK_EQ(tree_ask(&s->leader, 'b').value, 0);
    CHECK_EQ(tree_ask(&s->leader, 'i').value, 0);
    type(s, "\3", "^C");
    CHECK_EQ(tree_ask(&s->leader, 'i').value, 1); /* its job in the foreground, and nobody else */
}

static void check_alone(const struct session *s)
{
    CHECK_EQ(tree_ask(&s->leader, 's').value, 0);
    CHECK_EQ(tree_ask(&s->leader, 'h').value, 0);
    CHECK_EQ(tree_ask(&s->leader, 'w').value, 0); /* a restart doesn't show */
    resize(s, ROWS + 1);
    CHECK_EQ(tree_ask(&s->leader, 'w').value, 1);
    resize(s, ROWS);
    CHECK_EQ(tree_ask(&s->leader, 'w').value, 1);
    type(s, "abc\n", "abc\r\n");
    CHECK_EQ(tree_ask(&s->leader, 'r').value, 1);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(signal(SIGHUP, count) != SIG_ERR && signal(SIGINT, count) != SIG_ERR);
    MUST(signal(SIGWINCH, count) != SIG_ERR);
    struct session jobs = start_session(shell), one = start_session(alone);
    struct session none = start_session(deserted);

    victim_ready();
    while (victim_wait()) {
        check_shell(&jobs);
        check_alone(&one);
        CHECK_EQ(tree_ask(&none.leader, 's').value, 0);
        type(&none, "\3", "^C");
        CHECK_EQ(tree_ask(&none.leader, 'i').value, 0);
    }
    close(one.master);
    CHECK_EQ(tree_ask(&one.leader, 'h').value, 1);
    CHECK_EQ(tree_end(&one.leader), 0);
    CHECK_EQ(tree_end(&jobs.leader), 0);
    CHECK_EQ(tree_end(&none.leader), 0);
    return tree_result();
}
