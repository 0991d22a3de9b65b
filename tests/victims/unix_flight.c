/*
 * unix_flight.c - descriptors on their way through sockets: of files that the program has as well,
 * of files that it has not, of sockets that carry others, of the socket itself
 *
 * kinds: unix-socket
 */
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "unix_sockets.h"

static int stream[2], record[2], datagram[2], own[2], kept;

/* The number and the byte that follows are one message; what precedes has none. */
static void fill(void)
{
    int counter = eventfd(7, EFD_NONBLOCK), pipe_ends[2], inner[2];
    char path[5000];

    victim_path(path, sizeof(path), "file");
    int file = open(path, O_RDWR | O_CREAT, 0600);
    MUST(counter >= 0 && file >= 0 && pipe(pipe_ends) == 0 && write(pipe_ends[1], "p", 1) == 1);
    MUST(write(file, "content", 7) == 7 && lseek(file, 3, SEEK_SET) == 3);
    CHECK(goes(stream[0], "plain", 5));
    CHECK(goes_with(stream[0], "two", 3, (const int[]){counter, kept}, 2));
    CHECK(goes_with(stream[0], "file", 4, &file, 1) && goes(stream[0], "rest", 4));
    CHECK(goes_with(record[0], "", 0, &pipe_ends[0], 1) && goes(record[0], "r", 1));
    CHECK(goes_with(record[0], "end", 3, &pipe_ends[1], 1));

    /* A pair of which both ends are on their way, with a message in it that carries the file. */
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, inner) == 0);
    CHECK(goes_with(inner[0], "deep", 4, &file, 1));
    CHECK(goes_with(datagram[0], "inner", 5, inner, 2));
    CHECK(goes_with(own[0], "self", 4, own, 2));
    close(counter);
    close(file);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(inner[0]);
    close(inner[1]);
}

static bool is_same(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void check_stream(int *ret_file)
{
    char buffer[10] = {0};
    eventfd_t count = 0;
    int fds[8];

    /* A short read before the descriptors has none of them. */
    CHECK(recv(stream[1], buffer, 2, MSG_DONTWAIT) == 2 && memcmp(buffer, "pl", 2) == 0);
    CHECK(recv(stream[1], buffer, 3, MSG_DONTWAIT) == 3 && memcmp(buffer, "ain", 3) == 0);
    CHECK(comes_with(stream[1], "two", 3, fds, 2));
    CHECK(eventfd_read(fds[0], &count) == 0 && count == 7);
    CHECK(is_same(fds[1], kept));
    CHECK(eventfd_write(kept, 2) == 0 && eventfd_read(fds[1], &count) == 0 && count == 2);
    close(fds[0]);
    close(fds[1]);
    CHECK(comes_with(stream[1], "file", 4, ret_file, 1));
    CHECK(pread(*ret_file, buffer, 7, 0) == 7 && memcmp(buffer, "content", 7) == 0);
    CHECK(comes_with(stream[1], "rest", 4, fds, 0) && is_empty(stream[1]));
}

static void check_record(void)
{
    char byte = 0;
    int reader = -1, writer = -1;

    CHECK(comes_with(record[1], "", 0, &reader, 1) && comes_with(record[1], "r", 1, NULL, 0));
    CHECK(comes_with(record[1], "end", 3, &writer, 1) && is_empty(record[1]));
    CHECK(read(reader, &byte, 1) == 1 && byte == 'p');
    CHECK(write(writer, "q", 1) == 1 && read(reader, &byte, 1) == 1 && byte == 'q');
    close(reader);
    close(writer);
}

static void check_inner(int file)
{
    int inner[2] = {-1, -1}, same = -1;

    CHECK(comes_with(datagram[1], "inner", 5, inner, 2) && is_empty(datagram[1]));
    CHECK(comes_with(inner[1], "deep", 4, &same, 1));
    CHECK(is_same(same, file) && lseek(file, 0, SEEK_CUR) == 3);
    CHECK(lseek(same, 5, SEEK_SET) == 5 && lseek(file, 0, SEEK_CUR) == 5); /* one description */
    CHECK(goes(inner[1], "x", 1) && comes(inner[0], "x", 1));
    close(inner[0]);
    close(inner[1]);
    close(same);
}

static void check_own(void)
{
    int both[2] = {-1, -1};

    CHECK(comes_with(own[1], "self", 4, both, 2));
    CHECK(is_same(both[0], own[0]) && is_same(both[1], own[1]));
    CHECK(goes(both[0], "x", 1) && comes(own[1], "x", 1));
    close(both[0]);
    close(both[1]);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    kept = eventfd(0, EFD_NONBLOCK);
    MUST(kept >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, record) == 0);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0);
    fill();

    victim_ready();
    while (victim_wait()) {
        int file = -1;
        check_stream(&file);
        check_record();
        check_inner(file);
        check_own();
        close(file);
        fill();
    }
    return 0;
}
