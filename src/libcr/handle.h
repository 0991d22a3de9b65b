/*
 * handle.h - requests that this process has made, and their numbers
 */
#ifndef LIBCR_HANDLE_H
#define LIBCR_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/request_page.h"

struct cri_request {
    struct cri_request *next;
    unsigned long handle;
    struct request_page *page;
    pid_t pid;         /* of crs-request, which isn't our child; 0: a thread of ours watches it */
    uint32_t restarts; /* the block's, when it was made */
    unsigned n_forks;  /* cri_n_forks, likewise */
    uint64_t environment; /* what that of crs-request was made from */
    uint32_t lost;        /* crs-request has ended without an answer */
    unsigned n_users;     /* and one for the table */
    bool listed;
    bool detached; /* nobody will reap it */
};

/* A request with an empty page and a descriptor of it, which is the caller's. Or an errno value. */
int cri_request_new(struct cri_request **ret, int *ret_fd);
/* Gives it a number that can be found. */
unsigned long cri_request_list(struct cri_request *request);
/* Whose number it is, with one user more; or NULL. */
struct cri_request *cri_request_find(unsigned long handle);
/* True for one caller only. */
bool cri_request_unlist(struct cri_request *request);
void cri_request_release(struct cri_request *request);
/* Nobody will reap it: it is freed when it has ended, some time. */
void cri_request_detach(unsigned long handle);

/* request.c: wait until it is accepted or refused: 0 or an errno value. */
int cri_request_wait_accepted(struct cri_request *request);

static inline void cleanup_cri_request(struct cri_request **request)
{
    if (*request)
        cri_request_release(*request);
}
#define _cleanup_request_ _cleanup_(cleanup_cri_request)

#endif
