/*
 * request_again.h - crs-request waits a moment for another request of the same process
 */
#ifndef CLI_REQUEST_AGAIN_H
#define CLI_REQUEST_AGAIN_H

#include <sys/types.h>

#include "base/request_page.h"

struct request_again {
    pid_t program;
    int pidfd, signal_fd; /* of it, and for its asking; -1: no other request will be taken */
    uint64_t started;     /* when this process was */
};

/* Before the first request is begun: says in its page that another one may follow. */
void request_again_begin(struct request_again *again, struct request_page *page);
/* After one that has ended well; nothing is behind the numbers of its page and destination. The
 * page of the next, which is accepted for work; its destination is REQUEST_DESTINATION_FD. NULL:
 * there is none. */
struct request_page *request_again_wait(struct request_again *again);

#endif
