/* net_unix.c - /proc/net/unix: text in, struct out */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "net_unix.h"

#define FLAG_ACCEPTS    0x10000 /* __SO_ACCEPTCON */
#define STATE_CONNECTED 3       /* SS_CONNECTED */

/* "Num: RefCount Protocol Flags Type St Inode Path"; the path may hold blanks, not line feeds. */
static int parse_line(const char *line, size_t size, struct net_unix_socket *ret)
{
    struct net_unix_socket s = {0};
    unsigned flags, state;
    int n = 0;

    if (sscanf(line, "%*[0-9a-fA-F]: %*x %*x %x %x %x %" SCNu64 "%n", &flags, &s.type, &state,
               &s.inode, &n) != 4 ||
        n == 0 || (size_t)n > size)
        return -EINVAL;
    s.listening = flags & FLAG_ACCEPTS;
    s.connected = state == STATE_CONNECTED;
    if ((size_t)n + 1 < size && line[n] == ' ') {
        s.name = strndup(line + n + 1, size - n - 1);
        if (!s.name)
            return -ENOMEM;
    }
    *ret = s;
    return 0;
}

void net_unix_free(struct net_unix_socket *sockets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(sockets[i].name);
    free(sockets);
}

int net_unix_parse(const char *text, struct net_unix_socket **ret, size_t *ret_n)
{
    ARRAY_OF(struct net_unix_socket) sockets = {0};
    const char *line = strchr(text, '\n'); /* behind the head */
    int r = line ? 0 : -EINVAL;

    while (r == 0 && *++line) {
        size_t size = strcspn(line, "\n");
        struct net_unix_socket *s = ARRAY_ADD(&sockets);
        r = s ? parse_line(line, size, s) : -ENOMEM;
        line += size;
        if (!*line)
            break;
    }
    if (r < 0) {
        net_unix_free(sockets.items, sockets.n);
        return r;
    }
    *ret = sockets.items;
    *ret_n = sockets.n;
    return 0;
}
