/*
 * image.h - what is asked of CRIU: is all there, save, restore
 */
#ifndef OPENPAL_CRIU_IMAGE_H
#define OPENPAL_CRIU_IMAGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "openpal/criu/relay.h"

/* Older ones want a descriptor of the images' directory in the client, which would be in the
 * image. */
#define CRIU_OLDEST "3.19"

/* The last of CRIU's files. */
#define IMAGE_FILE "inventory.img"

/* Of the component's parameters. */
struct image_settings {
    char *log;     /* name of the log file */
    int log_level; /* 0: CRIU's own default */
    int tcp_established, shell_job, ext_unix_sk;
    bool unprivileged;
};

/* Does that program run, is it new enough, does its own check of this kernel succeed? */
int image_check(const char *program, struct crs_error *err);

/* Can it see which pages have changed? `*ret` false: this kernel doesn't tell. */
int image_can_track(const char *program, bool *ret, struct crs_error *err);

struct image_dump {
    const char *program, *directory; /* absolute; it exists */
    const struct image_settings *settings;
    pid_t pid;          /* 0: the caller */
    bool leave_stopped; /* else it goes on */
    bool track;         /* begin to follow which pages change */
    const char *parent; /* relative to `directory`: images that hold what hasn't changed; or NULL */
    /* Once the image is complete: by a fork of the caller, see worker.h. NULL: nothing. */
    int (*finish)(void *arg);
    void *arg;
};

/* *ret_restored: this is the process that was restored from that image. */
int image_dump(const struct image_dump *dump, bool *ret_restored, struct crs_error *err);

/* Only the memory, while the process goes on: what has changed since is left to what has
 * `directory` as its parent. */
int image_pre_dump(const struct image_dump *dump, struct crs_error *err);

/* Who writes the restored process's output into the caller's files, see relay.h. */
struct restore_outputs {
    struct relay relay[3];
};

/* The process as the caller's child, with its old PID, which is `pid`. */
int image_restore(const char *program, const char *directory, const struct image_settings *settings,
                  pid_t pid, struct restore_outputs *ret, struct crs_error *err);

/* The caller's part in that ends. `flush`: the process has ended, all it has written is wanted. */
void restore_outputs_end(struct restore_outputs *outputs, bool flush);

/* Is there an image? */
bool image_exists(const char *directory);

#endif
