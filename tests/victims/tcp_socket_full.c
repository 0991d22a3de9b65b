/*
 * tcp_socket_full.c - connections whose queues are full in both directions, with buffers of the
 * kernel's choice and of the program's: not a byte more or less, and none in another place
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include "victim.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define PIECE 65521

struct direction {
    int from, to;
    uint64_t sent, received;
    uint64_t limit; /* more than that isn't sent */
};

static struct direction directions[6];
static int sizes[6];

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 2654435761u >> 24);
}

static void join(int listening, const struct sockaddr_in *address, int *client, int *server)
{
    *client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(*client, (const struct sockaddr *)address, sizeof(*address));
    *server = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    MUST(*server >= 0);
}

/* Until nothing more goes in for a while. */
static void fill(struct direction *d)
{
    static uint8_t piece[PIECE];

    for (int idle = 0; idle < 20 && d->sent - d->received < d->limit;) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = byte_at(d->sent + i);
        ssize_t n = send(d->from, piece, PIECE, MSG_NOSIGNAL);
        MUST(n > 0 || errno == EAGAIN);
        if (n > 0)
            d->sent += n;
        idle = n > 0 ? 0 : idle + 1;
        if (n < 0)
            victim_sleep_ms(1);
    }
}

static void drain(struct direction *d)
{
    static uint8_t piece[PIECE];
    struct pollfd p = {.fd = d->to, .events = POLLIN};

    while (d->received < d->sent) {
        CHECK(poll(&p, 1, 5000) == 1);
        ssize_t n = recv(d->to, piece, sizeof(piece), 0);
        CHECK(n > 0);
        if (n <= 0)
            return;
        for (ssize_t i = 0; i < n; i++)
            if (piece[i] != byte_at(d->received + i)) {
                victim_fail("byte %llu is wrong", (unsigned long long)(d->received + i));
                return;
            }
        d->received += n;
    }
    errno = 0;
    CHECK(recv(d->to, piece, sizeof(piece), 0) < 0 && errno == EAGAIN);
}

static int buffer(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    CHECK(getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0);
    return value;
}

/* The kernel doesn't enlarge the queue of a fast reader. */
static void keep_size(int fd)
{
    int lock = buffer(fd, SO_BUF_LOCK) | 2;

    MUST(setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock)) == 0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int small = 30000, one = 1, client, server;

    victim_init(argc, argv);
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(listening, (struct sockaddr *)&address, size) == 0 &&
         getsockname(listening, (struct sockaddr *)&address, &size) == 0 &&
         listen(listening, 10) == 0);
    for (int i = 0; i < 6; i += 2) {
        join(listening, &address, &client, &server);
        if (i == 2)
            MUST(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0 &&
                 setsockopt(client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
        if (i == 4)
            MUST(setsockopt(client, IPPROTO_TCP, TCP_CORK, &one, sizeof(one)) == 0);
        keep_size(client);
        keep_size(server);
        uint64_t limit = i == 4 ? 300000 : UINT64_MAX;
        directions[i] = (struct direction){client, server, 0, 0, limit};
        directions[i + 1] = (struct direction){server, client, 0, 0, limit};
    }
    for (int i = 0; i < 6; i++)
        fill(&directions[i]);
    sizes[0] = buffer(directions[2].to, SO_RCVBUF);
    sizes[1] = buffer(directions[2].from, SO_SNDBUF);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(buffer(directions[2].to, SO_RCVBUF), sizes[0]);
        CHECK_EQ(buffer(directions[2].from, SO_SNDBUF), sizes[1]);
        for (int i = 0; i < 6; i++)
            drain(&directions[i]);
        for (int i = 0; i < 6; i++)
            fill(&directions[i]);
    }
    return 0;
}
