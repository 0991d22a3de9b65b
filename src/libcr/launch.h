/*
 * launch.h - starting crs-request, so that the program doesn't notice
 */
#ifndef LIBCR_LAUNCH_H
#define LIBCR_LAUNCH_H

#include <sys/types.h>

/* It gets `page_fd` and `destination_fd` as request_page.h says. 0, or an errno value: ENOSYS where
 * it isn't installed. The descriptors stay the caller's. */
int cri_launch(int page_fd, int destination_fd, pid_t *ret_pid);

#endif
