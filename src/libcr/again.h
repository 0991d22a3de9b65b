/*
 * again.h - another request for a crs-request that is there already
 */
#ifndef LIBCR_AGAIN_H
#define LIBCR_AGAIN_H

#include <stdbool.h>
#include <sys/types.h>

#include "libcr/handle.h"

/* Of a request that has ended well: its crs-request may take the next one. */
void cri_again_remember(const struct cri_request *request);
/* True: it has taken this one, whose page is filled in. Else a new one has to be started. */
bool cri_again_ask(struct cri_request *request, int page_fd, int destination_fd);

#endif
