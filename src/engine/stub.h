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

/* What every thread of a stub reports (PTRACE_O_...). */
#define STUB_OPTIONS                                                                               \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |       \
     PTRACE_O_EXITKILL)
#define STUB_THREAD_FLAGS                                                                          \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

struct stub_options {
    int exe_fd;       /* of the executable */
    const char *name; /* argv[0], for people */
    pid_t pid;        /* the PID it must have; 0: any */
    int service_fd;   /* kept, under the number remote_service_fd */
    int remote_service_fd;
    int keep_from; /* descriptors from this number on are kept; all others are closed */
    bool topmost;  /* free addresses are looked for from as high up as it can be */
};

/* -EEXIST: the PID is in use; -EPERM: not allowed to choose it; -EINVAL: above the limit. */
int stub_start(const struct stub_options *options, struct tracee **ret, struct crs_error *err);

/*
 * A child of the stub of which `th` is a thread, with that PID (0: any), forked by that thread: a
 * copy of the stub as it is now, of the same executable. exit_signal is what its parent will get
 * at its end. `flags` of clone(2): CLONE_PARENT makes it a child of the stub's parent (and
 * exit_signal that of the stub), CLONE_VM, CLONE_FILES, CLONE_FS and CLONE_SIGHAND let it share.
 * Errors as above.
 */
int stub_fork(struct tracee_thread *th, pid_t pid, int exit_signal, uint64_t flags,
              struct tracee **ret, struct crs_error *err);

/* Make it a stub of another executable, of which it has the descriptor remote_exe_fd. It may not
 * have been forked from yet by other threads than its first. */
int stub_exec(struct tracee *t, int remote_exe_fd, const char *name, struct crs_error *err);

/* Another thread in the stub with that tid (0: any), made by its thread number `maker`; added to
 * t->threads. Errors as above. */
int stub_add_thread(struct tracee *t, size_t maker, pid_t tid, struct crs_error *err);

/* n such threads, made by the first one, in this order; tids: of each, or NULL. */
int stub_add_threads(struct tracee *t, const pid_t *tids, size_t n, struct crs_error *err);

/* Let it end with that status, as of wait(2), without a core. Its parent may wait for it then:
 * the caller, or the stub that it is a child of. */
int stub_end(struct tracee *t, int status, struct crs_error *err);

/* The whole stub into a group stop, as by SIGSTOP; it is still held. All its signals must be
 * blocked. Its parent, if that is another stub, may wait for the stop then. */
int stub_stop(struct tracee *t, struct crs_error *err);

/* End it and reap it. */
void stub_kill(struct tracee *t);

#endif
