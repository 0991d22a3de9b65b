/*
 * libcr_ledger.c - a program that takes part in its checkpoints, by BLCR's interface
 *
 * test: sh -c '{bin} 2000 && mv sum a && {crs} restart ./ledger.context && cmp a sum'
 *
 * It books amounts from one account to another, and writes each booking into a file. Both accounts
 * change in a critical section: no checkpoint sees one changed without the other. Around a
 * checkpoint a callback closes the file and opens it again, so that nothing of it is in the
 * snapshot; after a restart it cuts off what was booked since, because that will be booked again.
 * In the middle of its work the program asks for its own checkpoint, into ledger.context; anybody
 * else may ask as well (cr_checkpoint PID). `crs restart ledger.context` (or cr_restart) brings it
 * back, and the sum at the end is the same.
 *
 *     libcr_ledger BOOKINGS
 */
#include <errno.h>
#include <fcntl.h>
#include <libcr.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char FILE_NAME[] = "ledger";

static long accounts[2] = {1000000, 0};
static FILE *ledger;
static long position; /* while the file is closed */

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, cr_strerror(errno));
    return -1;
}

static int around_checkpoint(void *arg)
{
    (void)arg;
    position = ftell(ledger);
    fclose(ledger);
    int r = cr_checkpoint(accounts[0] + accounts[1] == 1000000 ? CR_CHECKPOINT_READY
                                                               : CR_CHECKPOINT_TEMP_FAILURE);
    ledger = fopen(FILE_NAME, "r+");
    if (!ledger)
        return fail(FILE_NAME);
    if (r > 0)
        fprintf(stderr, "restarted from %s\n", cr_get_restart_info()->src);
    return ftruncate(fileno(ledger), position) < 0 || fseek(ledger, position, SEEK_SET) < 0;
}

static void book(cr_client_id_t id, long amount)
{
    cr_enter_cs(id);
    accounts[0] -= amount;
    fprintf(ledger, "%ld\n", amount);
    accounts[1] += amount;
    cr_leave_cs(id);
}

/* The loop in which the end of a request is waited for. */
static int take_checkpoint(void)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    int r;

    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_fd = open("ledger.context", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (args.cr_fd < 0 || cr_request_checkpoint(&args, &handle) < 0)
        return fail("ledger.context");
    do
        r = cr_poll_checkpoint(&handle, NULL);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    if (r == CR_POLL_CHKPT_ERR_POST && errno == CR_ERESTARTED)
        return 0; /* this is the restarted program, which has done it already */
    if (r < 0)
        return fail("no checkpoint");
    return close(args.cr_fd);
}

static int write_sum(void)
{
    FILE *sum = fopen("sum", "w");

    if (!sum)
        return fail("sum");
    fprintf(sum, "%ld %ld, %ld bytes\n", accounts[0], accounts[1], ftell(ledger));
    return fclose(sum);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 2000;
    cr_client_id_t id = cr_init();

    ledger = fopen(FILE_NAME, "w+");
    if (!ledger || id < 0 || cr_register_callback(around_checkpoint, NULL, CR_THREAD_CONTEXT) < 0)
        return fail("can't begin"), 1;
    for (long i = 1; i <= n; i++) {
        book(id, i % 97);
        if (i == n / 2 && take_checkpoint() < 0)
            return 1;
    }
    cr_enter_cs(id); /* the callback closes the file */
    int r = write_sum();
    cr_leave_cs(id);
    return r < 0;
}
