/*
 * unix_credentials.c - who is at the other end: SO_PEERCRED of pairs, and of connections made
 * after the restart
 *
 * kinds: unix-socket
 */
#include "unix_sockets.h"

static bool is_from_us(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid() &&
           peer.uid == getuid() && peer.gid == getgid();
}

static bool is_from_nobody(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == 0 &&
           peer.uid == (uid_t)-1;
}

int main(int argc, char **argv)
{
    int pair[2], datagram[2], closed[2];

    victim_init(argc, argv);
    MUST(chdir(victim_dir) == 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, closed) == 0 && close(closed[1]) == 0);
    int listener = bound(SOCK_STREAM, "service"), none = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(none >= 0 && listen(listener, 2) == 0);
    int client = connected(SOCK_STREAM, "service"), server = accept(listener, NULL, NULL);

    victim_ready();
    while (victim_wait()) {
        CHECK(is_from_us(pair[0]) && is_from_us(pair[1]));
        CHECK(is_from_us(datagram[0]) && is_from_us(datagram[1]));
        CHECK(is_from_us(client) && is_from_us(server) && is_from_us(closed[0]));
        CHECK(is_from_nobody(none));
        int new = connected(SOCK_STREAM, "service"), accepted = accept(listener, NULL, NULL);
        CHECK(is_from_us(new) && is_from_us(accepted));
        close(new);
        close(accepted);
    }
    return 0;
}
