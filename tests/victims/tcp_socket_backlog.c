/*
 * tcp_socket_backlog.c - connections that wait to be accepted come back in their order
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "victim.h"

#define N 5

static int listening, clients[N];
static struct sockaddr_in address;

static void connect_all(void)
{
    for (int i = 0; i < N; i++) {
        /* Not in the order of their numbers; and the kernel tells their age in milliseconds. */
        int n = (i * 3) % N;
        clients[n] = socket(AF_INET, SOCK_STREAM, 0);
        MUST(connect(clients[n], (struct sockaddr *)&address, sizeof(address)) == 0);
        victim_sleep_ms(30);
    }
    MUST(shutdown(clients[3], SHUT_WR) == 0);
}

static int accept_next(uint16_t *ret_port)
{
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof(peer);
    int fd = accept(listening, (struct sockaddr *)&peer, &size);

    CHECK(fd >= 0);
    *ret_port = peer.sin_port;
    return fd;
}

static void check_one(int n)
{
    struct sockaddr_in own = {0};
    socklen_t size = sizeof(own);
    struct linger reset = {1, 0};
    uint16_t port;
    char data[10];
    int server = accept_next(&port);

    CHECK(getsockname(clients[n], (struct sockaddr *)&own, &size) == 0);
    CHECK_EQ(port, own.sin_port);
    if (n == 3)
        CHECK_EQ(recv(server, data, sizeof(data), 0), 0);
    else {
        CHECK_EQ(send(clients[n], "hello", 5, 0), 5);
        CHECK_EQ(recv(server, data, sizeof(data), 0), 5);
    }
    CHECK_EQ(send(server, "welcome", 7, 0), 7);
    CHECK_EQ(recv(clients[n], data, sizeof(data), 0), 7);
    setsockopt(clients[n], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(clients[n]);
    close(server);
}

int main(int argc, char **argv)
{
    socklen_t size = sizeof(address);

    victim_init(argc, argv);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    MUST(bind(listening, (struct sockaddr *)&address, size) == 0 &&
         getsockname(listening, (struct sockaddr *)&address, &size) == 0 &&
         listen(listening, N) == 0);
    connect_all();

    victim_ready();
    while (victim_wait()) {
        for (int i = 0; i < N; i++)
            check_one((i * 3) % N);
        errno = 0;
        CHECK(accept(listening, NULL, NULL) < 0 && errno == EAGAIN);
        connect_all();
    }
    return 0;
}
