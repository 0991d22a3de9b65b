/*
 * tcp_socket_halves.c - connections that are closed in part: by shutdown(2), by close(2) of the
 * other end, by a reset, never made; sockets connected to themselves
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include "victim.h"

static int listening;
static struct sockaddr_in address;

static void join(int *client, int *server)
{
    *client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(*client >= 0 && connect(*client, (struct sockaddr *)&address, sizeof(address)) == 0);
    *server = accept(listening, NULL, NULL);
    MUST(*server >= 0);
}

static void say(int fd, const char *text)
{
    MUST(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static void hear(int fd, const char *wanted)
{
    char data[100] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};

    CHECK_EQ(poll(&p, 1, 5000), 1); /* what was just sent may still be on its way */
    CHECK_EQ(recv(fd, data, sizeof(data) - 1, MSG_DONTWAIT), (ssize_t)strlen(wanted));
    CHECK(strcmp(data, wanted) == 0);
}

static void hear_error(int fd, int wanted)
{
    char c;

    errno = 0;
    CHECK(recv(fd, &c, 1, MSG_DONTWAIT) < 0);
    CHECK_EQ(errno, wanted);
}

static void say_error(int fd, int wanted)
{
    errno = 0;
    CHECK(send(fd, "x", 1, MSG_NOSIGNAL) < 0);
    CHECK_EQ(errno, wanted);
}

static int events(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    poll(&p, 1, 0);
    return p.revents;
}

/* Nothing stays behind that would hold the addresses. */
static void drop(int fd)
{
    struct linger reset = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
}

/* ---- shut in one direction ---- */

static int half_client, half_server;

static void make_half(void)
{
    join(&half_client, &half_server);
    say(half_client, "last words");
    say(half_server, "go on");
    MUST(shutdown(half_client, SHUT_WR) == 0);
    while (!(events(half_server) & POLLRDHUP))
        victim_sleep_ms(1);
}

static void check_half(void)
{
    CHECK_EQ(events(half_server), POLLIN | POLLOUT | POLLRDHUP);
    hear(half_server, "last words");
    hear(half_server, "");
    hear(half_client, "go on");
    hear_error(half_client, EAGAIN);
    say_error(half_client, EPIPE);
    say(half_server, "still");
    hear(half_client, "still");
    drop(half_client);
    drop(half_server);
}

/* ---- shut for reading only ---- */

static int deaf_client, deaf_server;

static void make_deaf(void)
{
    join(&deaf_client, &deaf_server);
    MUST(shutdown(deaf_client, SHUT_RD) == 0);
}

static void check_deaf(void)
{
    CHECK_EQ(events(deaf_client), POLLIN | POLLOUT | POLLRDHUP);
    hear(deaf_client, "");
    say(deaf_client, "out");
    hear(deaf_server, "out");
    CHECK_EQ(events(deaf_server), POLLOUT);
    drop(deaf_client);
    drop(deaf_server);
}

/* ---- the other end closed ---- */

static int left_client, left_server;
static struct sockaddr_in left_peer;

static void make_left(void)
{
    socklen_t size = sizeof(left_peer);
    int gone;

    join(&left_client, &gone);
    say(gone, "good bye");
    close(gone);
    join(&gone, &left_server);
    MUST(getpeername(left_server, (struct sockaddr *)&left_peer, &size) == 0);
    say(gone, "bye");
    close(gone);
    while (!(events(left_server) & events(left_client) & POLLRDHUP))
        victim_sleep_ms(1);
}

static void check_left(void)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);

    CHECK(getpeername(left_server, (struct sockaddr *)&peer, &size) == 0);
    CHECK(memcmp(&peer, &left_peer, size) == 0);
    CHECK_EQ(events(left_client), POLLIN | POLLOUT | POLLRDHUP);
    hear(left_client, "good bye");
    hear(left_client, "");
    say(left_client, "too late");
    hear(left_server, "bye");
    hear(left_server, "");
    drop(left_client);
    drop(left_server);
}

/* ---- both directions shut ---- */

static int ended_client, ended_server;

static void make_ended(void)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);

    join(&ended_client, &ended_server);
    say(ended_client, "to read at the end");
    MUST(shutdown(ended_server, SHUT_WR) == 0 && shutdown(ended_client, SHUT_WR) == 0);
    while (getpeername(ended_server, (struct sockaddr *)&peer, &size) == 0 ||
           getpeername(ended_client, (struct sockaddr *)&peer, &size) == 0)
        victim_sleep_ms(1);
}

static void check_ended(void)
{
    CHECK_EQ(events(ended_server), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
    hear(ended_server, "to read at the end");
    hear(ended_server, "");
    hear(ended_client, "");
    say_error(ended_server, EPIPE);
    say_error(ended_client, EPIPE);
    close(ended_client);
    close(ended_server);
}

/* ---- reset ---- */

static int reset_client;

static void make_reset(void)
{
    int server;

    join(&reset_client, &server);
    say(server, "and then");
    drop(server);
    while (!(events(reset_client) & POLLERR))
        victim_sleep_ms(1);
}

static void check_reset(void)
{
    CHECK_EQ(events(reset_client), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
    hear(reset_client, "and then");
    hear_error(reset_client, ECONNRESET);
    hear(reset_client, "");
    say_error(reset_client, EPIPE);
    close(reset_client);
}

/* ---- refused ---- */

static int refused, refused_known;

static int connect_in_vain(void)
{
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(nobody);
    int holder = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    MUST(bind(holder, (struct sockaddr *)&nobody, size) == 0 &&
         getsockname(holder, (struct sockaddr *)&nobody, &size) == 0);
    connect(fd, (struct sockaddr *)&nobody, size);
    while (!(events(fd) & POLLERR))
        victim_sleep_ms(1);
    close(holder);
    return fd;
}

static void check_socket_error(int fd, int wanted)
{
    int error = -1;
    socklen_t size = sizeof(error);

    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    CHECK_EQ(error, wanted);
}

static void make_refused(void)
{
    refused = connect_in_vain();
    refused_known = connect_in_vain();
    check_socket_error(refused_known, ECONNREFUSED);
}

static void check_refused(void)
{
    CHECK_EQ(events(refused), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
    CHECK_EQ(events(refused_known), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
    check_socket_error(refused, ECONNREFUSED);
    check_socket_error(refused_known, 0);
    close(refused);
    close(refused_known);
}

/* ---- connected to itself ---- */

static int self;

static void make_self(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(own);

    self = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(self, (struct sockaddr *)&own, size) == 0 &&
         getsockname(self, (struct sockaddr *)&own, &size) == 0 &&
         connect(self, (struct sockaddr *)&own, size) == 0);
    say(self, "to myself");
}

static void check_self(void)
{
    hear(self, "to myself");
    say(self, "again");
    hear(self, "again");
    drop(self);
}

int main(int argc, char **argv)
{
    static void (*const make[])(void) = {make_half,  make_deaf,    make_left, make_ended,
                                         make_reset, make_refused, make_self};
    static void (*const check[])(void) = {check_half,  check_deaf,    check_left, check_ended,
                                          check_reset, check_refused, check_self};
    socklen_t size = sizeof(address);
    int one = 1;

    victim_init(argc, argv);
    listening = socket(AF_INET, SOCK_STREAM, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    MUST(setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    MUST(bind(listening, (struct sockaddr *)&address, size) == 0 &&
         getsockname(listening, (struct sockaddr *)&address, &size) == 0 &&
         listen(listening, 10) == 0);
    for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++)
        make[i]();

    victim_ready();
    while (victim_wait())
        for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
            check[i]();
            make[i]();
        }
    return 0;
}
