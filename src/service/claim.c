/* claim.c - a job takes its name, becomes known, and goes again */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/io.h"
#include "bytes_json.h"
#include "job.h"
#include "job_file.h"
#include "store/store.h"

#define COMMAND_MAX 4096 /* for people; the file has a limit */

struct job_claim {
    char *path; /* STORE/NAME */
    int dirfd;  /* locked until it is published */
    bool taken; /* the name is ours */
    bool keep;
};

/* Open and lock the directory. -EAGAIN: it was removed in between. */
static int lock_directory(struct job_claim *claim, struct crs_error *err)
{
    _cleanup_close_ int fd = open(claim->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return -EAGAIN;
    if (fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't open %s", claim->path);
    /* Some file systems can't lock directories; the lock only orders two starts at one instant. */
    while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
        ;
    if (fstat(fd, &st) < 0 || st.st_nlink == 0)
        return -EAGAIN;
    claim->dirfd = TAKE_FD(fd);
    return 0;
}

/* Nobody of this name runs; what a killed tool left goes away. */
static int check_free(struct job_claim *claim, const char *name, struct crs_error *err)
{
    _cleanup_job_ struct job old = {0};
    int r = job_read_file(claim->dirfd, &old, err);

    if (r == -EPERM)
        return r;
    if (r >= 0 && job_state(&old) != JOB_ELSEWHERE && job_held(&old))
        return crs_fail(err, CRS_BUSY, EBUSY,
                        "job '%s' is already running (PID %d): choose another name by --name", name,
                        (int)old.program.pid);
    if (r >= 0 && job_state(&old) == JOB_ELSEWHERE)
        return crs_fail(
            err, CRS_BUSY, EBUSY,
            "job '%s' runs on %s, or in another container there: choose another name by "
            "--name; if it has ended, remove %s/" JOB_FILE,
            name, old.host, claim->path);
    if ((unlinkat(claim->dirfd, JOB_FILE, 0) < 0 && errno != ENOENT) ||
        (unlinkat(claim->dirfd, JOB_SOCKET, 0) < 0 && errno != ENOENT))
        return crs_fail_errno(err, CRS_STORAGE, "can't remove the old job's files in %s",
                              claim->path);
    return 0;
}

int job_claim(const char *store, const char *name, struct job_claim **ret, struct crs_error *err)
{
    _cleanup_(cleanup_job_claim) struct job_claim *claim = calloc(1, sizeof(*claim));
    _cleanup_free_ char *root = NULL;
    int r = job_check_name(name, err);

    if (r >= 0)
        r = crs_store_path(store, &root, err);
    if (r < 0)
        return r;
    if (claim)
        claim->dirfd = -1;
    if (!claim || !(claim->path = format_string("%s/%s", root, name)))
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    do {
        r = store_make_directories(claim->path, err);
        if (r >= 0)
            r = lock_directory(claim, err);
    } while (r == -EAGAIN);
    if (r >= 0)
        r = check_free(claim, name, err);
    if (r < 0)
        return r;
    claim->taken = true;
    *ret = TAKE_PTR(claim);
    return 0;
}

int job_claim_directory(const struct job_claim *claim)
{
    return claim->dirfd;
}

static json_t *process_json(const struct job_process *process)
{
    return process->pid ? json_pack("{s:i, s:I}", "pid", (int)process->pid, "start_time",
                                    (json_int_t)process->start_time)
                        : json_null();
}

static char *job_json(const struct job *job)
{
    json_t *root = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s}", "schema", 1, "name",
                             job->name, "store", bytes_to_json(job->store), "command",
                             bytes_to_json(job->command), "program", process_json(&job->program),
                             "supervisor", process_json(&job->supervisor), "host", job->host,
                             "boot_id", job->boot_id, "pid_namespace", job->pid_namespace);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;

    json_decref(root);
    return text;
}

static int write_whole(int dirfd, const char *text, struct crs_error *err)
{
    static const char temporary[] = "." JOB_FILE ".new";
    _cleanup_close_ int fd =
        openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s", temporary);
    int r = write_full(fd, text, strlen(text));
    if (r < 0)
        errno = -r;
    if (r < 0 || renameat(dirfd, temporary, dirfd, JOB_FILE) < 0) {
        r = crs_fail_errno(err, CRS_STORAGE, "can't write " JOB_FILE);
        unlinkat(dirfd, temporary, 0);
        return r;
    }
    return 0;
}

int job_claim_publish(struct job_claim *claim, const char *store, pid_t pid, bool supervised,
                      const char *command, struct crs_error *err)
{
    _cleanup_job_ struct job job = {0};
    _cleanup_free_ char *root = NULL;
    int r = crs_store_path(store, &root, err);

    if (r >= 0)
        r = job_here(&job, err);
    if (r < 0)
        return r;
    r = job_process_identify(pid, &job.program);
    if (r >= 0 && supervised)
        r = job_process_identify(getpid(), &job.supervisor);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read /proc/%d/stat: %s", (int)pid,
                        strerror(-r));
    job.name = strdup(strrchr(claim->path, '/') + 1);
    job.store = realpath(root, NULL);
    job.command = strndup(command, COMMAND_MAX);
    _cleanup_free_ char *text = job.name && job.store && job.command ? job_json(&job) : NULL;
    if (!text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = write_whole(claim->dirfd, text, err);
    if (r < 0)
        return crs_fail_at(err, r, "%s", claim->path);
    flock(claim->dirfd, LOCK_UN);
    return 0;
}

void job_claim_keep(struct job_claim *claim)
{
    claim->keep = true;
}

void job_claim_free(struct job_claim *claim)
{
    if (!claim)
        return;
    if (claim->taken && !claim->keep) {
        while (flock(claim->dirfd, LOCK_EX) < 0 && errno == EINTR)
            ;
        unlinkat(claim->dirfd, JOB_FILE, 0);
        unlinkat(claim->dirfd, JOB_SOCKET, 0);
        rmdir(claim->path); /* stays where it holds snapshots */
    }
    if (claim->dirfd >= 0)
        close(claim->dirfd);
    free(claim->path);
    free(claim);
}
