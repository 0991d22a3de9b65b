/*
 * leader_gone.c - the first thread has ended while another lives
 *
 * refused: the first thread of process
 * link: -lpthread
 */
#include <pthread.h>

#include "victim.h"

static void *go_on(void *arg)
{
    victim_sleep_ms(50); /* until the first thread is gone */
    victim_ready();
    while (victim_wait())
        ;
    _exit(0);
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    MUST(pthread_create(&thread, NULL, go_on, NULL) == 0);
    pthread_exit(NULL);
}
