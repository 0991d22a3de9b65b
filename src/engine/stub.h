/*
 * stub.h - the process that a restart builds up
 *
 * A child of the caller that has exec'ed the saved executable (so that /proc/PID/exe is right
 * without any privilege) and stands before its first instruction, held with ptrace. It ends when
 * the tool ends.
 */
#ifndef ENGINE_STUB_H
#define ENGINE_STUB_H

#include "tracee/tracee.h"

struct stub_options {
    int exe_fd;       /* of the executable */
    const char *name; /* argv[0], for people */
    pid_t pid;        /* the PID it must have; 0: any */
    bool new_session; /* make it a session leader */
    bool new_group;   /* make it a process group leader */
    int service_fd;   /* kept, under the number remote_service_fd */
    int remote_service_fd;
    int keep_from; /* descriptors from this number on are kept; all others are closed */
};

/* -EEXIST: the PID is in use; -EPERM: not allowed to choose it; -EINVAL: above the limit. */
int stub_start(const struct stub_options *options, struct tracee **ret, struct crs_error *err);

/* Another thread in the stub with that tid (0: any); added to t->threads. Errors as above. */
int stub_add_thread(struct tracee *t, pid_t tid, struct crs_error *err);

/* End it and reap it. */
void stub_kill(struct tracee *t);

#endif
