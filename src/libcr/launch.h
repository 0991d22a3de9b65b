/*
 * launch.h - starting crs-request, so that the program doesn't notice
 */
#ifndef LIBCR_LAUNCH_H
#define LIBCR_LAUNCH_H

#include <limits.h>
#include <sys/types.h>

/* It gets `page_fd` and `destination_fd` as request_page.h says. 0, or an errno value: ENOSYS where
 * it isn't installed. The descriptors stay the caller's. */
int cri_launch(int page_fd, int destination_fd, pid_t *ret_pid);

/* Parts of it: the path of crs-request (0 or an errno value); its environment, an array to be
 * freed (NULL: no memory); and, in the new process, signals as those of a new program. */
int cri_find_tool(char path[PATH_MAX]);
char **cri_tool_environment(void);
void cri_signals_as_new(void);

#endif
