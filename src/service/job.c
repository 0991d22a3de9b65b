/* job.c - running jobs: who they are, and finding them by name or PID */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/io.h"
#include "bytes_json.h"
#include "job.h"
#include "job_file.h"
#include "proc/stat.h"
#include "store/store.h"

#define JOB_FILE_LIMIT    65536
#define KERNEL_PF_EXITING 0x4 /* in the flags of /proc/PID/stat */

void job_clear(struct job *job)
{
    free(job->name);
    free(job->store);
    free(job->command);
    free(job->host);
    free(job->boot_id);
    free(job->pid_namespace);
    *job = (struct job){0};
}

/* ---- processes ---- */

static int read_stat(pid_t pid, struct proc_stat *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int r = read_file(AT_FDCWD, path, 8192, &text);
    return r < 0 ? r : proc_stat_parse((const char *)text.data, ret);
}

char job_pid_state(pid_t pid)
{
    struct proc_stat stat;

    if (read_stat(pid, &stat) < 0 || (stat.flags & KERNEL_PF_EXITING && stat.state != 'Z'))
        return 'X';
    if (stat.state == 'Z' && stat.threads > 1) /* its first thread has ended, others live */
        return 'S';
    return stat.state;
}

int job_say_if_ended(pid_t pid, int r, struct crs_error *err)
{
    char state = r < 0 ? job_pid_state(pid) : 0;

    if ((state != 'Z' && state != 'X') || (err && err->kind == CRS_NOT_FOUND))
        return r;
    return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", (int)pid);
}

int job_process_identify(pid_t pid, struct job_process *ret)
{
    struct proc_stat stat;
    int r = read_stat(pid, &stat);

    if (r < 0)
        return r;
    *ret = (struct job_process){pid, stat.start_time};
    return 0;
}

static bool process_lives(const struct job_process *process, char *ret_state)
{
    struct proc_stat stat;

    if (process->pid <= 0 || read_stat(process->pid, &stat) < 0)
        return false;
    *ret_state = stat.state;
    /* One whose first thread has ended while others live is no zombie yet. */
    return stat.start_time == process->start_time && stat.state != 'X' &&
           (stat.state != 'Z' || stat.threads > 1);
}

bool job_process_stopped(const struct job_process *process)
{
    char state;

    return process_lives(process, &state) && (state == 'T' || state == 't');
}

/* ---- this place ---- */

static int read_words(const char *path, char **ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = read_file(AT_FDCWD, path, 4096, &text);

    if (r < 0)
        return r;
    text.data[strcspn((const char *)text.data, "\n")] = 0;
    *ret = strdup((const char *)text.data);
    return *ret ? 0 : -ENOMEM;
}

int job_here(struct job *job, struct crs_error *err)
{
    int r = read_words("/proc/sys/kernel/hostname", &job->host);

    if (r >= 0)
        r = read_words("/proc/sys/kernel/random/boot_id", &job->boot_id);
    if (r >= 0)
        r = read_link(AT_FDCWD, "/proc/self/ns/pid", &job->pid_namespace);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read the boot ID from /proc: %s", strerror(-r));
    return 0;
}

/* ---- files ---- */

static int take_string(const json_t *object, const char *key, char **ret)
{
    *ret = bytes_from_json(json_object_get(object, key));
    return *ret ? 0 : -EPROTO;
}

static int take_process(const json_t *object, struct job_process *ret)
{
    json_int_t pid = 0, start_time = 0;

    if (json_is_null(object))
        return 0;
    if (json_unpack((json_t *)object, "{s:I, s:I}", "pid", &pid, "start_time", &start_time) < 0 ||
        pid <= 0 || pid > INT_MAX || start_time < 0)
        return -EPROTO;
    *ret = (struct job_process){(pid_t)pid, (uint64_t)start_time};
    return 0;
}

static int parse_job(const struct bytes *text, struct job *job)
{
    json_t *root = json_loadb((const char *)text->data, text->size, 0, NULL);
    int r = 0;

    if (!root)
        return -EPROTO;
    if (json_integer_value(json_object_get(root, "schema")) != 1)
        r = -EPROTO;
    static const struct {
        const char *key;
        size_t offset;
    } strings[] = {
        {"name", offsetof(struct job, name)},
        {"store", offsetof(struct job, store)},
        {"command", offsetof(struct job, command)},
        {"host", offsetof(struct job, host)},
        {"boot_id", offsetof(struct job, boot_id)},
        {"pid_namespace", offsetof(struct job, pid_namespace)},
    };
    for (size_t i = 0; i < ELEMENTS(strings) && r >= 0; i++)
        r = take_string(root, strings[i].key, (char **)((char *)job + strings[i].offset));
    if (r >= 0)
        r = take_process(json_object_get(root, "program"), &job->program);
    if (r >= 0)
        r = take_process(json_object_get(root, "supervisor"), &job->supervisor);
    if (r >= 0 && job->program.pid == 0)
        r = -EPROTO;
    json_decref(root);
    return r;
}

int job_read_file(int dirfd, struct job *ret, struct crs_error *err)
{
    _cleanup_close_ int fd = openat(dirfd, JOB_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_job_ struct job job = {0};
    char path[32];
    struct stat st;

    if (fd < 0)
        return errno == ENOENT ? -ENOENT : crs_fail_errno(err, CRS_FAILED, "can't open " JOB_FILE);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return crs_fail(err, CRS_FAILED, EINVAL, JOB_FILE " is not a regular file");
    /* Whoever writes it names the process to be checkpointed. */
    if (st.st_uid != geteuid())
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM, "the job belongs to another user (UID %u)",
                        (unsigned)st.st_uid);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int r = read_file(AT_FDCWD, path, JOB_FILE_LIMIT, &text);
    if (r >= 0)
        r = parse_job(&text, &job);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, JOB_FILE " is not readable as a job");
    *ret = job;
    job = (struct job){0};
    return 0;
}

enum job_state job_state(const struct job *job)
{
    _cleanup_job_ struct job here = {0};
    char state;

    if (job_here(&here, NULL) < 0)
        return JOB_ELSEWHERE;
    if (strcmp(job->host, here.host) != 0)
        return JOB_ELSEWHERE;
    if (strcmp(job->boot_id, here.boot_id) != 0)
        return JOB_GONE; /* this host was booted since */
    if (strcmp(job->pid_namespace, here.pid_namespace) != 0)
        return JOB_ELSEWHERE;
    return process_lives(&job->program, &state) ? JOB_RUNS : JOB_GONE;
}

bool job_held(const struct job *job)
{
    char state;

    return job_state(job) == JOB_RUNS ||
           (job_state(job) == JOB_GONE && process_lives(&job->supervisor, &state));
}

/* ---- finding ---- */

int job_open_directory(const char *store, const char *name, int *ret_fd, struct crs_error *err)
{
    _cleanup_free_ char *root = NULL;
    int r = crs_store_path(store, &root, err);

    if (r < 0)
        return r;
    _cleanup_free_ char *path = format_string("%s/%s", root, name);
    if (!path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return crs_fail_errno(err, errno == ENOENT ? CRS_NOT_FOUND : CRS_FAILED, "can't open %s",
                              path);
    *ret_fd = fd;
    return 0;
}

static int no_such_job(const char *name, struct crs_error *err)
{
    return crs_fail(err, CRS_NOT_FOUND, ESRCH,
                    "no job '%s' is running; start one by crs run --name %s", name, name);
}

int job_find(const char *store, const char *name, struct job *ret, struct crs_error *err)
{
    _cleanup_job_ struct job job = {0};
    _cleanup_close_ int dirfd = -1;
    int r = store_check_name(name, err);

    if (r < 0)
        return r;
    r = job_open_directory(store, name, &dirfd, err);
    if (r == -ENOENT)
        return no_such_job(name, err);
    if (r < 0)
        return r;
    r = job_read_file(dirfd, &job, err);
    if (r == -ENOENT)
        return no_such_job(name, err);
    if (r < 0)
        return crs_fail_at(err, r, "job %s", name);
    switch (job_state(&job)) {
    case JOB_GONE:
        return no_such_job(name, err);
    case JOB_ELSEWHERE:
        return crs_fail(err, CRS_BUSY, EXDEV,
                        "job '%s' runs on %s, or in another container there: ask from there", name,
                        job.host);
    case JOB_RUNS:
        break;
    }
    *ret = job;
    job = (struct job){0};
    return 0;
}

int job_each(const char *store, int (*each)(const struct job *job, void *arg), void *arg,
             struct crs_error *err)
{
    _cleanup_free_ char *root = NULL;
    int r = crs_store_path(store, &root, err);

    if (r < 0)
        return r;
    _cleanup_closedir_ DIR *dir = opendir(root);
    if (!dir && errno == ENOENT)
        return 0;
    if (!dir)
        return crs_fail_errno(err, CRS_FAILED, "can't read %s", root);
    for (struct dirent *entry; (entry = readdir(dir));) {
        _cleanup_close_ int fd = -1;
        _cleanup_job_ struct job job = {0};

        if (entry->d_name[0] == '.')
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        /* What can't be read is no job of ours. */
        if (fd < 0 || job_read_file(fd, &job, NULL) < 0 || job_state(&job) != JOB_RUNS)
            continue;
        r = each(&job, arg);
        if (r != 0)
            return r;
    }
    return 0;
}

struct wanted {
    pid_t pid;
    char *name;
};

static int match_pid(const struct job *job, void *arg)
{
    struct wanted *wanted = arg;

    if (job->program.pid != wanted->pid)
        return 0;
    wanted->name = strdup(job->name);
    return wanted->name ? 1 : -ENOMEM;
}

int job_find_pid(const char *store, pid_t pid, struct job *ret, struct crs_error *err)
{
    struct wanted wanted = {.pid = pid};
    int r = job_each(store, match_pid, &wanted, err);
    _cleanup_free_ char *name = wanted.name;

    if (r < 0)
        return r;
    if (r == 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d is no job's", (int)pid);
    return job_find(store, name, ret, err);
}

/* ---- names ---- */

char *job_name_from(const char *text)
{
    char *name = strndup(*text ? text : "_", 200);

    for (char *c = name; c && *c; c++)
        if (!isascii(*c) || (!isalnum((unsigned char)*c) && !strchr("._-+", *c)) ||
            (c == name && (*c == '.' || *c == '-')))
            *c = '_';
    return name;
}

int job_check_name(const char *name, struct crs_error *err)
{
    int r = store_check_name(name, err);

    if (r < 0)
        return r;
    if (strspn(name, "0123456789") == strlen(name))
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "the name '%s' would be taken for a PID: add a letter", name);
    return 0;
}
