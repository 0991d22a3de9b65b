/* foreground.c - a program in the foreground is a job: known by name, supervised, ended with */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/foreground.h"
#include "cli/output.h"
#include "service/child.h"
#include "service/request.h"
#include "service/supervise.h"

#define OWN_FAILURE      125
#define UNFILLED_WAIT_MS 2000 /* until those who brought it have noticed the end */

int foreground_exit_code(int code)
{
    return code == CRS_USAGE || code == CRS_BUSY ? code : OWN_FAILURE;
}

/* The store's directory, which is there by now, as it is called from any other one. */
static int absolute_store(const char *store, char **ret, struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    int r = crs_store_path(store, &path, err);

    if (r < 0)
        return r;
    *ret = realpath(path, NULL);
    return *ret ? 0 : crs_fail_errno(err, CRS_STORAGE, "can't find %s", path);
}

/*
 * `crs checkpoint NAME` looks in the default store: where the job's store is another one, a sign
 * there shows the way. Without it the job can still be asked with --dir, so a failure is no more
 * than a warning, but a name that runs there is taken.
 */
static int put_sign(struct foreground *f, pid_t pid, bool supervised, const char *words,
                    struct crs_error *err)
{
    _cleanup_free_ char *usual = NULL, *usual_real = NULL;
    struct crs_error error = {0};
    int r = crs_store_path(NULL, &usual, &error);

    usual_real = usual ? realpath(usual, NULL) : NULL;
    if (r >= 0 && strcmp(f->store, usual_real ? usual_real : usual) == 0)
        return 0;
    if (r >= 0)
        r = job_claim(usual, f->name, &f->sign, &error);
    if (r >= 0)
        r = job_claim_publish(f->sign, f->store, pid, supervised, words, &error);
    if (r == -EBUSY && err)
        *err = error;
    if (r < 0 && r != -EBUSY)
        output_warning(f->command, f->json,
                       "the job is known in %s only (say --dir to crs checkpoint): %s", f->store,
                       error.text);
    return r == -EBUSY ? r : 0;
}

int foreground_open(struct foreground *f, const char *store, const char *name, pid_t pid,
                    bool supervised, const char *program_words, struct crs_error *err)
{
    struct crs_error error = {0};

    f->listen_fd = -1;
    f->name = strdup(name);
    if (!f->name)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = job_claim(store, name, &f->claim, err);
    if (r >= 0)
        r = absolute_store(store, &f->store, err);
    if (r < 0)
        return r;
    if (supervised && request_listen(job_claim_directory(f->claim), &f->listen_fd, &error) < 0)
        output_warning(f->command, f->json,
                       "checkpoints can't be asked for here, and may need a privilege: %s",
                       error.text);
    r = job_claim_publish(f->claim, f->store, pid, supervised, program_words, err);
    if (r >= 0)
        r = put_sign(f, pid, supervised, program_words, err);
    return r;
}

void foreground_keep(struct foreground *f)
{
    if (f->claim)
        job_claim_keep(f->claim);
    if (f->sign)
        job_claim_keep(f->sign);
}

void foreground_close(struct foreground *f)
{
    job_claim_free(f->sign);
    job_claim_free(f->claim);
    cleanup_close(&f->listen_fd);
    free(f->name);
    free(f->store);
    *f = (struct foreground){.listen_fd = -1};
}

static void say_terminated(const struct foreground *f, const char *snapshot)
{
    if (f->json)
        output_event("terminated",
                     json_pack("{s:s, s:o}", "name", f->name, "snapshot", output_text(snapshot)));
    else if (strcmp(snapshot, "-") == 0) /* whoever asked has it */
        fprintf(stderr, "crs %s: job %s was checkpointed into a stream and ended\n", f->command,
                f->name);
    else
        fprintf(stderr, "crs %s: job %s was checkpointed and ended; to go on: crs restart %s\n",
                f->command, f->name, snapshot);
}

/* Was it killed because its memory couldn't be brought (crs restart --lazy)? */
static bool say_unfilled(const struct foreground *f, struct crs_restarted *program, int status,
                         int *ret_code)
{
    struct crs_error error = {0};

    if (!program->lazy || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL ||
        crs_restart_filled(program, UNFILLED_WAIT_MS, &error) >= 0 || error.kind == CRS_OK)
        return false;
    *ret_code = output_error(f->command, f->json, &error);
    if (*ret_code == CRS_FAILED)
        *ret_code = OWN_FAILURE;
    return true;
}

int foreground_stay(struct foreground *f, struct crs_restarted *program)
{
    struct supervise_options options = {program, f->store, f->name, f->listen_fd};
    struct supervise_result result = {0};
    struct crs_error error = {0};
    int r = supervise(&options, &result, &error);

    if (r < 0) {
        foreground_exit_code(output_error(f->command, f->json, &error));
        foreground_close(f);
        return OWN_FAILURE;
    }
    if (result.snapshot)
        say_terminated(f, result.snapshot);
    free(result.snapshot);
    int code;
    bool unfilled = say_unfilled(f, program, result.status, &code);
    foreground_close(f);
    if (unfilled)
        return code;
    child_end_like(result.status);
}
