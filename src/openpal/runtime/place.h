/*
 * place.h - where processes listen for requests
 *
 * Each process that has called opal_init() listens at a socket in its user's own directory: of
 * these the first that can be used,
 *
 *     $opal_cr_tmp_dir/opencrs-UID   (the parameter, where it is set)
 *     $XDG_RUNTIME_DIR/opencrs
 *     /run/user/UID/opencrs
 *     $TMPDIR/opencrs-UID            (/tmp where TMPDIR isn't set)
 *
 * It is made with mode 0700, and used only if it is a directory (no link) of that user that nobody
 * else may enter. Files in it:
 *
 *     opal-PID.sock                  the process listens here
 *     opal-PID.busy                  it doesn't listen now, but will: a checkpoint is under way;
 *                                    holds the process's start time, so that it isn't another's
 *     opal-PID.new                   such a mark that is being written
 *     opal-checkpoint-PID-N.sock     a tool waits here for the answer
 *     opal-env-ID-PID                what tool PID hands to the process that it restarts
 *
 * Files of processes that were killed are removed by the next that comes.
 */
#ifndef OPENPAL_RUNTIME_PLACE_H
#define OPENPAL_RUNTIME_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/error.h"

struct place {
    int fd; /* -1: none */
    char path[PATH_MAX];
};

#define PLACE_INIT                                                                                 \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
#define PLACE_CANDIDATES 4

/* The process's own, made where it isn't there. `tmp_dir` is the parameter, or NULL. */
int place_open_own(const char *tmp_dir, struct place *ret, struct crs_error *err);

/* The candidate `number` (below PLACE_CANDIDATES) of another process of user `uid`, which may have
 * other variables than the caller: `variable` looks one up. -ENOENT: it isn't there, or it isn't
 * one to be used. */
int place_open_of(unsigned number, uid_t uid, const char *tmp_dir,
                  const char *(*variable)(const char *name, void *arg), void *arg,
                  struct place *ret);

/* One that is named: it has to be the user's own, made where it isn't there. */
int place_open_at(const char *path, struct place *ret, struct crs_error *err);

void place_close(struct place *place);
#define _cleanup_place_ __attribute__((cleanup(place_close)))

/* opal-PID.KIND, of a process in the caller's PID namespace; or, because there may be several with
 * that number, opal-PID-NAMESPACE.KIND of one that isn't in the machine's first one. */
#define PLACE_NAME_SIZE 80
void place_name(char name[PLACE_NAME_SIZE], pid_t pid, const char *kind);
void place_name_in(char name[PLACE_NAME_SIZE], pid_t pid, uint64_t namespace, const char *kind);

/* That of a process that the caller sees; 0: the first one, or it can't be seen. */
uint64_t place_namespace(pid_t pid);

/* The address of a socket in it; -ENAMETOOLONG where the path is too long for one. */
int place_address(const struct place *place, const char *name, struct sockaddr_un *ret,
                  struct crs_error *err);

/* A socket that listens at that name, in the place of an older file. */
int place_listen(const struct place *place, const char *name, int *ret_fd, struct crs_error *err);

/* Make and remove the mark of a process that will listen again; is there one of `pid`, which has
 * the number `own_pid` in its own namespace? */
int place_mark_busy(const struct place *place, pid_t pid);
void place_unmark_busy(const struct place *place, pid_t pid);
bool place_is_busy(const struct place *place, pid_t pid, pid_t own_pid);

/* Remove what killed processes have left. */
void place_clean(const struct place *place);

/* When a process was started, in the kernel's ticks; 0: there is none. */
uint64_t place_start_time(pid_t pid);

#endif
