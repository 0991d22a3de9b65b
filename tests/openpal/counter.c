/*
 * counter.c - a program that knows nothing of Open PAL
 *
 * part: no
 *
 * It appends numbers to the file `numbers`, by an open of its own each time, until there is a file
 * `end`; then its exit code is 7. A number that isn't the one before and 1 is a fault of its
 * restart.
 */
#include <fcntl.h>

#include "openpal_test.h"

char ballast[1 << 20]; /* a snapshot isn't small */

int main(void)
{
    for (size_t i = 0; i < sizeof(ballast); i++)
        ballast[i] = (char)rand();
    for (int i = 1; access("end", F_OK) < 0; i++) {
        char line[20];
        int fd = open("numbers", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        int n = snprintf(line, sizeof(line), "%d\n", i);

        CHECK(fd >= 0 && write(fd, line, (size_t)n) == n && close(fd) == 0);
        usleep(2000);
    }
    return 7;
}
