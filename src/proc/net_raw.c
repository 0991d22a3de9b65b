/* net_raw.c - /proc/net/raw and its like: text in, an address out */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "net_raw.h"

/* Words of the address, each in the processor's order: memory is as the network's. */
static int parse_address(const char *hex, uint8_t ret[16], size_t *ret_size)
{
    size_t digits = strspn(hex, "0123456789abcdefABCDEF");
    uint32_t word;

    if (digits != 8 && digits != 32)
        return -EINVAL;
    for (size_t i = 0; i < digits / 8; i++) {
        if (sscanf(hex + i * 8, "%8" SCNx32, &word) != 1)
            return -EINVAL;
        memcpy(ret + i * 4, &word, sizeof(word));
    }
    *ret_size = digits / 2;
    return 0;
}

/* "sl: local:port peer:port st tx:rx tr:when retransmits uid timeout inode ..." */
static int parse_line(const char *line, ino_t inode, uint8_t ret[16], size_t *ret_size)
{
    static const uint8_t none[16];
    uint8_t address[16] = {0};
    char peer[64];
    uint64_t ino;

    if (sscanf(line, " %*d: %*63s %63[0-9A-Fa-f]:%*x %*x %*x:%*x %*x:%*x %*x %*u %*d %" SCNu64,
               peer, &ino) != 2)
        return -EINVAL;
    if (ino != inode)
        return -ENOENT;
    int r = parse_address(peer, address, ret_size);
    if (r < 0)
        return r;
    if (memcmp(address, none, *ret_size) == 0)
        return -ENOENT;
    memcpy(ret, address, *ret_size);
    return 0;
}

int net_raw_find_peer(const char *text, ino_t inode, uint8_t ret_address[16], size_t *ret_size)
{
    const char *line = strchr(text, '\n'); /* behind the head */

    if (!line)
        return -EINVAL;
    while (*++line) {
        int r = parse_line(line, inode, ret_address, ret_size);
        if (r != -ENOENT)
            return r;
        line = strchr(line, '\n');
        if (!line)
            break;
    }
    return -ENOENT;
}
