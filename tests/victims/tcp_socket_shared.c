/*
 * tcp_socket_shared.c - one end of a connection in two processes: the one that has it first never
 * writes, the other one always does, so that the queues are full, and no byte comes in another
 * place
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "victim.h"

#define PIECE 32749
#define ROUND (8 << 20) /* bytes that are read in each round: more than the queues hold */

static volatile int *end;

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 2654435761u >> 24);
}

static void connect_both(int *ret_client, int *ret_server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM, 0);

    MUST(bind(listening, (struct sockaddr *)&address, size) == 0 && listen(listening, 1) == 0);
    MUST(getsockname(listening, (struct sockaddr *)&address, &size) == 0);
    *ret_client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(*ret_client, (struct sockaddr *)&address, size) == 0);
    *ret_server = accept(listening, NULL, NULL);
    MUST(*ret_server >= 0 && close(listening) == 0);
    MUST(fcntl(*ret_client, F_SETFL, O_NONBLOCK) == 0);
}

static void write_always(int fd)
{
    static uint8_t piece[PIECE];
    uint64_t sent = 0;

    while (!*end && access(victim_dir, F_OK) == 0) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = byte_at(sent + i);
        ssize_t n = send(fd, piece, PIECE, MSG_NOSIGNAL);
        if (n > 0)
            sent += n;
        else if (errno != EAGAIN)
            _exit(1);
        else
            victim_sleep_ms(1);
    }
    _exit(0);
}

/* A part of what is there: the queues are full again soon. */
static void read_some(int fd, uint64_t *received)
{
    static uint8_t piece[PIECE];

    for (uint64_t until = *received + ROUND; *received < until;) {
        ssize_t n = recv(fd, piece, PIECE, 0);
        if (n < 0 && errno == EINTR)
            continue;
        CHECK(n > 0);
        if (n <= 0)
            return;
        for (ssize_t i = 0; i < n; i++) {
            if (piece[i] == byte_at(*received + i))
                continue;
            victim_fail("byte %llu is another one", (unsigned long long)*received + i);
            return;
        }
        *received += n;
    }
}

int main(int argc, char **argv)
{
    int writer, reader, status;
    uint64_t received = 0;

    victim_init(argc, argv);
    end = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(end != MAP_FAILED);
    connect_both(&writer, &reader);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        victim_allow_tracer();
        write_always(writer);
    }
    struct pollfd filling = {.fd = writer, .events = POLLOUT};
    do /* it is full when nothing goes in for a while */
        victim_sleep_ms(20);
    while (poll(&filling, 1, 0) > 0);
    victim_ready();
    while (victim_wait())
        read_some(reader, &received);
    *end = 1;
    MUST(waitpid(-1, &status, 0) > 0);
    return status == 0 ? 0 : 1;
}
