/*
 * other_device.c - a device with a state of its own can't be saved yet: the refusal names it
 *
 * refused: is a device (/dev/
 */
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    static const char *const names[] = {"/dev/fuse", "/dev/kmsg", "/dev/net/tun", "/dev/rtc0"};
    int fd = -1;

    for (int i = 0; i < 4 && fd < 0; i++)
        fd = open(names[i], O_RDWR);
    if (fd < 0) {
        perror("/dev/fuse");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
