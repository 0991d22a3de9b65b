/* restart.c - crs restart: bring a program back from its snapshot */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/foreground.h"
#include "cli/output.h"
#include "cli/stopped.h"
#include "cli/store_arguments.h"
#include "service/child.h"

#define COMMAND_LIMIT (8 << 20)

struct arguments {
    int json, detach, stopped, lazy, pids, group, session;
    const char *pid_file, *name, *store, *key_file;
    struct cli_list fds, moved;
};

static const struct cli_option options[] = {
    {"detach", 'D', CLI_FLAG, offsetof(struct arguments, detach), .value = 1,
     .help = "leave the program on its own, print its PID"},
    {"stopped", 0, CLI_FLAG, offsetof(struct arguments, stopped), .value = 1,
     .help = "leave it stopped; kill -CONT starts it"},
    {"lazy", 0, CLI_FLAG, offsetof(struct arguments, lazy), .value = 1,
     .help = "run at once, bring memory when it is touched (root)"},
    {"pids", 'p', CLI_CHOICE, offsetof(struct arguments, pids), .metavar = "POLICY",
     .words = "same namespace new", .help = "same, namespace or new (default: the first possible)"},
    {"fd", 0, CLI_LIST, offsetof(struct arguments, fds), .metavar = "N=WHAT", .words = "@file",
     .help = "for its pipe N to the outside: a descriptor or a file"},
    {"relocate", 0, CLI_LIST, offsetof(struct arguments, moved), .metavar = "OLD=NEW",
     .help = "files below the path OLD are below NEW now"},
    {"group", 0, CLI_CHOICE, offsetof(struct arguments, group), .metavar = "WHICH",
     .words = "inherit restore", .help = "process group: inherit ours, or restore its own"},
    {"session", 0, CLI_CHOICE, offsetof(struct arguments, session), .metavar = "WHICH",
     .words = "inherit restore", .help = "session: likewise"},
    {"pid-file", 'f', CLI_TEXT, offsetof(struct arguments, pid_file), .metavar = "FILE",
     .words = "@file", .help = "write the program's PID into FILE"},
    {"name", 'n', CLI_TEXT, offsetof(struct arguments, name), .metavar = "NAME",
     .help = "the job's name (default: the snapshot's)"},
    CLI_KEY_FILE(arguments),
    CLI_STORE(arguments),
    CLI_JSON(arguments),
    CLI_HELP,
    CLI_END,
};

/* ---- the PID file: there from the start, so that nothing is started that can't be told ---- */

struct pid_file {
    const char *path;
    char *temporary;
    int fd;
};

static void pid_file_clear(struct pid_file *p)
{
    if (p->fd >= 0) {
        close(p->fd);
        unlink(p->temporary);
    }
    free(p->temporary);
}

static int pid_file_prepare(struct pid_file *p, struct crs_error *err)
{
    struct stat st;

    if (stat(p->path, &st) == 0 && S_ISDIR(st.st_mode))
        return crs_fail(err, CRS_STORAGE, EISDIR, "can't create %s: it is a directory", p->path);
    p->temporary = format_string("%s.%d.new", p->path, (int)getpid());
    if (!p->temporary)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    p->fd = open(p->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (p->fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s", p->temporary);
    /* Room for any PID, so that a full disk is met before the program runs. */
    int r = write_full(p->fd, "           \n", 12);
    if (r < 0)
        return crs_fail(err, CRS_STORAGE, -r, "can't write %s: %s", p->temporary, strerror(-r));
    return 0;
}

static int pid_file_write(struct pid_file *p, pid_t pid, struct crs_error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%d\n", (int)pid);
    int r = pwrite_full(p->fd, text, strlen(text), 0);
    if (r == 0 && ftruncate(p->fd, strlen(text)) < 0)
        r = -errno;
    if (r < 0)
        return crs_fail(err, CRS_STORAGE, -r, "can't write %s: %s", p->temporary, strerror(-r));
    if (rename(p->temporary, p->path) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s", p->path);
    close(p->fd);
    p->fd = -1;
    return 0;
}

/* ---- a snapshot from standard input ---- */

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

/*
 * Who writes the stream ends the program once all of it was taken (crs checkpoint --terminate), and
 * closes its end when that is done: until then the program's addresses and locks are not free.
 */
static int await_end(struct crs_error *err)
{
    struct stat st;
    ssize_t n;
    char byte;

    if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode))
        return 0;
    do {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        poll(&input, 1, -1);
        n = read(STDIN_FILENO, &byte, 1);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read standard input");
    return n == 0 ? 0
                  : crs_fail(err, CRS_DAMAGED, EBADMSG,
                             "standard input: there are bytes behind the end of the stream");
}

/* Read it, and leave standard input: the end of a pipe must not become the program's. */
static int read_stdin(struct crs_snapshot **ret, struct crs_error *err)
{
    int r = store_arguments_open("-", ret, err);

    if (r == 0)
        r = await_end(err);
    if (r < 0)
        return r;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        r = crs_fail_errno(err, CRS_FAILED, "can't open /dev/null");
    if (fd > STDIN_FILENO)
        close(fd);
    return r;
}

/* ---- what was done ---- */

static const char *policy_name(enum crs_pids pids)
{
    switch (pids) {
    case CRS_PIDS_SAME:
        return "same";
    case CRS_PIDS_NAMESPACE:
        return "namespace";
    case CRS_PIDS_NEW:
        return "new";
    case CRS_PIDS_DEFAULT:
        break;
    }
    return "?";
}

static json_t *restarted_json(const struct crs_restarted *r, bool stands, const char *path,
                              const char *name)
{
    return json_pack("{s:o, s:s?, s:i, s:b, s:b, s:s, s:I, s:I}", "snapshot", output_text(path),
                     "name", name, "pid", (int)r->pid, "stopped", stands, "lazy", r->lazy, "pids",
                     policy_name(r->pids), "first_instruction_us",
                     (json_int_t)r->first_instruction_us, "memory_bytes",
                     (json_int_t)r->memory_bytes);
}

/* It stands because that was asked for, or because it stood when it was saved. */
static void say_restarted(const struct arguments *a, const struct crs_restarted *r,
                          const char *path, const char *name)
{
    char took[UNIT_TEXT_SIZE], memory[UNIT_TEXT_SIZE];
    bool stands = a->stopped || job_pid_state(r->pid) == 'T';

    if (a->json && a->detach) {
        output_document(stdout, restarted_json(r, stands, path, name));
        return;
    }
    if (a->json) {
        output_event("restarted", restarted_json(r, stands, path, name));
        return;
    }
    _cleanup_free_ char *start = stands ? stopped_command(r->pid) : NULL;
    fprintf(stderr, "crs restart: %s %s as PID %d (PIDs: %s), %s in %s%s%s%s\n",
            is_stdin(path) ? "the program" : path, stands ? "stands" : "runs", (int)r->pid,
            policy_name(r->pids), format_size(r->memory_bytes, memory),
            format_us(r->first_instruction_us, took), start ? "; " : "", start ? start : "",
            start ? " starts it" : "");
    if (a->detach)
        printf("%d\n", (int)r->pid);
}

/* ---- a job again ---- */

/* The name of the job that STORE/NAME/SEQ is of; of other directories, their own. */
static char *name_of_path(const char *path)
{
    _cleanup_free_ char *real = realpath(path, NULL);
    char *last = real ? strrchr(real, '/') : NULL;

    if (!last)
        return job_name_from(path);
    if (last[1] && strspn(last + 1, "0123456789") == strlen(last + 1) && last > real) {
        *last = 0;
        last = strrchr(real, '/');
    }
    _cleanup_free_ char *name = job_name_from(last + 1);
    if (name && strspn(name, "0123456789") == strlen(name))
        return format_string("job-%s", name); /* only digits would be a PID */
    return TAKE_PTR(name);
}

/* A stream that came through a pipe has no name: that of its command has to do. */
static char *name_of(const char *snapshot, pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[32];

    if (!is_stdin(snapshot))
        return name_of_path(snapshot);
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (read_file(AT_FDCWD, path, 256, &text) < 0)
        return strdup("restarted");
    text.data[strcspn((char *)text.data, "\n")] = 0;
    _cleanup_free_ char *name = job_name_from((char *)text.data);
    if (name && strspn(name, "0123456789") == strlen(name))
        return format_string("job-%s", name);
    return TAKE_PTR(name);
}

/* What the program was started with, for people; the snapshot's path where that can't be read. */
static char *command_line(pid_t pid, const char *otherwise)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    if (read_file(AT_FDCWD, path, COMMAND_LIMIT, &text) < 0 || text.size == 0)
        return strdup(otherwise);
    for (size_t i = 0; i + 1 < text.size; i++)
        if (text.data[i] == 0)
            text.data[i] = ' ';
    return strdup((const char *)text.data);
}

/* A second one of the same job at the same time gets a name with its PID. */
static int become_job(struct foreground *f, const struct arguments *a, const char *path, pid_t pid,
                      struct crs_error *err)
{
    _cleanup_free_ char *usual = a->name ? strdup(a->name) : name_of(path, pid);
    _cleanup_free_ char *words = command_line(pid, path);
    if (!usual || !words)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");

    int r = foreground_open(f, a->store, usual, pid, !a->detach, words, err);
    if (r != -EBUSY)
        return r;
    foreground_close(f);
    _cleanup_free_ char *other = format_string("%.180s-%d", usual, (int)pid);
    if (!other)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    output_warning("restart", a->json, "a job '%s' is running: this one is '%s'", usual, other);
    return foreground_open(f, a->store, other, pid, !a->detach, words, err);
}

/* ---- signals ---- */

/*
 * They are blocked from before the program exists until those that come are passed on to it: none
 * may end us in between and leave it without us. Until it is built they end us, at the next step.
 */
struct building {
    struct output_progress progress;
    struct child_signals signals;
    struct pid_file *pid_file;
};

static bool is_ignored(int sig)
{
    struct sigaction action;

    return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void end_if_asked(struct building *b)
{
    static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    sigset_t pending;

    sigpending(&pending);
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
        if (sigismember(&pending, ending[i]) && !sigismember(&b->signals.mask, ending[i]) &&
            !is_ignored(ending[i])) {
            output_progress_end(&b->progress);
            pid_file_clear(b->pid_file);
            *b->pid_file = (struct pid_file){.fd = -1};
            child_signals_give_back(&b->signals); /* what was built ends with us */
        }
}

static void on_progress(const struct crs_progress *progress, void *arg)
{
    struct building *b = arg;

    end_if_asked(b);
    output_progress_show(progress, &b->progress);
}

/* ---- in order ---- */

static void write_pid_file(struct arguments *a, struct pid_file *file, pid_t pid)
{
    struct crs_error error = {0};

    if (a->pid_file && pid_file_write(file, pid, &error) < 0)
        output_warning("restart", a->json, "the program runs, but: %s", error.text);
    pid_file_clear(file);
    *file = (struct pid_file){.fd = -1};
}

static void warn_no_job(const struct arguments *a, pid_t pid, const char *but,
                        const struct crs_error *error)
{
    char state = job_pid_state(pid);

    if (state == 'X' || state == 'Z')
        output_warning("restart", a->json, "the program has ended already");
    else
        output_warning("restart", a->json, "the program runs, but %s: %s", but, error->text);
}

static int stay(struct arguments *a, struct crs_restarted *program, const char *path,
                struct pid_file *pid_file)
{
    struct foreground f = {.command = "restart", .json = a->json, .listen_fd = -1};
    struct crs_error error = {0};

    if (a->detach) {
        if (become_job(&f, a, path, program->pid, &error) < 0)
            warn_no_job(a, program->pid, "as no job", &error);
        write_pid_file(a, pid_file, program->pid);
        say_restarted(a, program, path, f.name);
        foreground_keep(&f);
        foreground_close(&f);
        return output_finish("restart");
    }
    output_json_to_stderr();
    if (child_leave_stdio(&error) < 0 || become_job(&f, a, path, program->pid, &error) < 0)
        warn_no_job(a, program->pid, "can't be checkpointed by name", &error);
    /* Last: whoever waits for it finds the job, and may send signals. */
    write_pid_file(a, pid_file, program->pid);
    say_restarted(a, program, path, f.name);
    return foreground_stay(&f, program);
}

/* Before a descriptor of ours gets the number. */
static int check_given(const struct arguments *a, const char *snapshot)
{
    for (size_t i = 0; i < a->fds.n; i++) {
        const char *value = strchr(a->fds.items[i], '=');
        uint64_t fd;
        if (!value || parse_number(value + 1, INT_MAX, &fd) < 0)
            continue;
        if (fcntl((int)fd, F_GETFD) < 0)
            return cli_usage(&command_restart, "--fd %s: descriptor %s isn't open here",
                             a->fds.items[i], value + 1);
        if (fd == STDIN_FILENO && is_stdin(snapshot))
            return cli_usage(&command_restart, "--fd %s: the snapshot comes from standard input",
                             a->fds.items[i]);
    }
    return CLI_GO_ON;
}

static int restart(struct arguments *a, const char *path, struct crs_snapshot *snapshot)
{
    struct crs_restart_options o = CRS_RESTART_OPTIONS_INIT;
    _cleanup_(pid_file_clear) struct pid_file pid_file = {.path = a->pid_file, .fd = -1};
    struct crs_restarted program = {.status_fd = -1, .fill_fd = -1};
    struct building building = {.pid_file = &pid_file};
    struct crs_error error = {0};

    /* The signals first: from then on none leaves the file behind. */
    if (child_signals_take(&building.signals, &error) < 0 ||
        (a->pid_file && pid_file_prepare(&pid_file, &error) < 0)) {
        crs_snapshot_free(snapshot);
        return output_error("restart", a->json, &error);
    }
    o.pids = (enum crs_pids)a->pids;
    o.detach = a->detach;
    o.stopped = a->stopped;
    o.lazy = a->lazy;
    o.fds = a->fds.items;
    o.n_fds = a->fds.n;
    o.relocate = a->moved.items;
    o.n_relocate = a->moved.n;
    o.group = (enum crs_membership)a->group;
    o.session = (enum crs_membership)a->session;
    o.snapshot = snapshot;
    o.progress = on_progress;
    o.progress_arg = &building;
    /* Whoever stays with the program takes its orphans in, as init would. */
    if (!a->detach)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    output_progress_begin(&building.progress, "restart", a->json);
    int r = crs_restart(path, &o, &program, &error);
    output_progress_end(&building.progress);
    crs_snapshot_free(snapshot); /* a copy of a stream may take much room */
    if (r < 0)
        return output_error("restart", a->json, &error);
    return stay(a, &program, path, &pid_file);
}

/* CRS_FAILED would look like the program's own 1; the other classes say what to do next. */
static int exit_code(const struct arguments *a, int code)
{
    return code == CRS_FAILED && !a->detach ? 125 : code;
}

static int run(int argc, char **argv)
{
    struct arguments a = {0};
    struct cli_operands operands;
    struct crs_error error = {0};
    _cleanup_free_ char *path = NULL;
    struct crs_snapshot *snapshot = NULL;
    int r = cli_parse(&command_restart, argc, argv, &a, &operands);

    if (r == CLI_GO_ON)
        r = cli_check_operands(&command_restart, &operands, 1, 1, "the snapshot");
    if (r == CLI_GO_ON)
        r = check_given(&a, operands.items[0]);
    if (r == CLI_GO_ON)
        r = store_arguments_key("restart", a.key_file, a.json);
    if (r != CLI_GO_ON)
        return exit_code(&a, r);
    signal(SIGXFSZ, SIG_IGN); /* a PID file beyond the limit is an error in words */
    if ((a.name && job_check_name(a.name, &error) < 0) ||
        store_arguments_resolve(a.store, operands.items[0], &path, &error) < 0 ||
        (is_stdin(path) && read_stdin(&snapshot, &error) < 0))
        return exit_code(&a, output_error("restart", a.json, &error));
    return exit_code(&a, restart(&a, path, snapshot));
}

const struct cli_command command_restart = {
    .name = "restart",
    .summary = "Bring a program back from its snapshot; it goes on from there",
    .synopsis = "[OPTION...] SNAPSHOT",
    .operands = "@snapshot",
    .options = options,
    .examples = {{"crs restart sim",
                  "go on from the newest snapshot of 'sim', and wait for its end"},
                 {"crs restart --detach --pid-file sim.pid sim@3",
                  "start snapshot 3 in the background, its PID in sim.pid"},
                 {"crs restart --pids=namespace /backup/sim",
                  "from a directory, with its old PIDs in a PID namespace of its own"}},
    .run = run,
};
