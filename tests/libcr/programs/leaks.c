/* leaks.c - a process is after many requests what it was before: descriptors, threads, signals,
 * children, memory */
#include <dirent.h>

#include "proof.h"

#define N 30

static int tell(void *arg)
{
    return cr_checkpoint(CR_CHECKPOINT_READY) != 0;
}

/* ---- what it has ---- */

/* The names in the directory and where they lead to, in the order of the directory. */
static void list(const char *path, char *text, size_t size)
{
    DIR *dir = opendir(path);
    char link[600], target[300];

    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir));) {
        ssize_t n;
        snprintf(link, sizeof(link), "%s/%s", path, e->d_name);
        n = readlink(link, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = 0;
        CHECK(strlen(text) + strlen(e->d_name) + strlen(target) + 3 < size);
        strcat(strcat(strcat(strcat(text, e->d_name), " "), target), "\n");
    }
    closedir(dir);
}

static void append_status(char *text, size_t size)
{
    static const char *const keys[] = {
        "Threads:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "TracerPid:", "FDSize:"};
    FILE *file = fopen("/proc/self/status", "re");
    char line[300];

    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file))
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            if (strncmp(line, keys[i], strlen(keys[i])) == 0) {
                CHECK(strlen(text) + strlen(line) < size);
                strcat(text, line);
            }
    fclose(file);
}

static long mapped_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;

    CHECK(file && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages;
}

static void look(char *text, size_t size)
{
    text[0] = 0;
    list("/proc/self/fd", text, size);
    list("/proc/self/task", text, size);
    append_status(text, size);
}

/* ---- the same ---- */

static void expect_same(const char *before, const char *now)
{
    if (strcmp(before, now) == 0)
        return;
    dprintf(2, "before:\n%s\nafter:\n%s\n", before, now);
    _exit(1);
}

static volatile sig_atomic_t n_children;

static void on_child(int sig)
{
    n_children++;
}

static void expect_no_child(void)
{
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    CHECK_IS(n_children, 0);
}

static void failing_request(void)
{
    cr_checkpoint_args_t args;

    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    args.cr_flags = CR_CHKPT_PROHIBIT_SELF;
    CHECK_IS(request(&args), EDEADLK);
    close(args.cr_fd);
}

int main(void)
{
    static char before[65536], after[65536];
    struct sigaction action;
    long pages;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_child;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(tell, NULL, CR_THREAD_CONTEXT) >= 0);
    CHECK(cr_register_callback(tell, NULL, CR_SIGNAL_CONTEXT) >= 0);
    for (int i = 0; i < 3; i++) /* what is allocated once and for all */
        CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    failing_request();
    look(before, sizeof(before));
    pages = mapped_pages();
    for (int i = 0; i < N; i++) {
        CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
        failing_request();
    }
    look(after, sizeof(after));
    expect_same(before, after);
    CHECK_IS(mapped_pages(), pages);
    expect_no_child();
    return 0;
}
