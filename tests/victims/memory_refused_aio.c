/*
 * memory_refused_aio.c - a context of asynchronous I/O (io_setup) is refused
 * refused: asynchronous I/O
 */
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    unsigned long context = 0;

    victim_init(argc, argv);
    MUST(syscall(SYS_io_setup, 8, &context) == 0);
    victim_ready();
    while (victim_wait())
        CHECK(syscall(SYS_io_getevents, context, 0, 0, NULL, NULL) == 0);
    return 0;
}
